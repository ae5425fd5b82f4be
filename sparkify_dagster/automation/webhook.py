"""Posts a text to an incoming webhook, as Slack has them."""

from urllib.parse import urlsplit

import requests

from sparkify_dagster.config.keys import Secret
from sparkify_dagster.runtime.errors import SparkifyError

TIMEOUT_SECONDS = 10


class WebhookError(SparkifyError):
    """The webhook did not take the text. The message names its host alone: the rest of its URL is a secret."""


def post(url: Secret, text: str) -> None:
    """Raises WebhookError."""
    host = urlsplit(url.get_secret_value()).hostname
    try:
        answer = requests.post(url.get_secret_value(), json={"text": text}, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        cause = type(error).__name__
    else:
        if answer.ok:
            return
        cause = f"it answered {answer.status_code}"
    # Not chained: the causes say the whole URL.
    raise WebhookError(f"SPARKIFY_ALERT_WEBHOOK at {host} did not take the report: {cause}; it is sent again") from None
