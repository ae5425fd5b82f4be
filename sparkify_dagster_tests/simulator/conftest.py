import pytest

from sparkify_dagster_tests.support.simulated_files import Written, write


@pytest.fixture(scope="session")
def month() -> Written:
    """A month of about the size of the real one."""
    return write()
