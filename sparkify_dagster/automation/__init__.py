"""Jobs, sensors and the schedule."""
