"""What makes it happen: jobs, sensors and schedules."""
