"""Asset checks of staging, star and analytics tables."""
