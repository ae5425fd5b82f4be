"""Client of incoming webhooks such as Slack's."""

from urllib.parse import urlsplit

from sparkify_dagster.config.keys import Secret
from sparkify_dagster.runtime.errors import SparkifyError

TIMEOUT_SECONDS = 10


class WebhookError(SparkifyError):
    """The webhook did not accept the text. The message names only its host: the rest of the URL is secret."""


def post(url: Secret, text: str) -> None:
    """Posts the text as JSON. Raises WebhookError."""
    # Importing it takes 0.1 s, and each process imports the sensor that may post.
    import requests

    host = urlsplit(url.get_secret_value()).hostname
    try:
        response = requests.post(url.get_secret_value(), json={"text": text}, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        cause = type(error).__name__
    else:
        if response.ok:
            return
        cause = f"HTTP status {response.status_code}"
    # Not chained: the messages of the causes contain the whole URL.
    raise WebhookError(
        f"SPARKIFY_ALERT_WEBHOOK at {host} did not accept the report: {cause}; it will be sent again"
    ) from None
