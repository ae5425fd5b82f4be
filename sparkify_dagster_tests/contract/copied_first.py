"""Worlds on Redshift whose source lies in S3, and whose days COPY reads before any inspection."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparkify_dagster_tests.redshift_stand_in.fixtures import RedshiftServers
from sparkify_dagster_tests.support.servers.s3 import S3Server
from sparkify_dagster_tests.support.world import Loads, World

BUCKET = "contract-copied-first"


@dataclass
class CopiedFirst(World):
    """A world whose folder is copied to S3 before a load."""

    s3: S3Server = field(kw_only=True)
    prefix: str = field(kw_only=True)

    def load(self, *args: Any, **options: Any) -> Loads:
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        keys = {f"{self.prefix}/{path.relative_to(self.folder).as_posix()}": path.read_bytes() for path in files}
        self.s3.put(BUCKET, keys)
        return super().load(*args, **options)


def new_world_copied_first(folder: Path, servers: RedshiftServers) -> CopiedFirst:
    prefix = secrets.token_hex(6)
    world = CopiedFirst(
        folder,
        log_data=f"s3://{BUCKET}/{prefix}/log_data",
        song_data=f"s3://{BUCKET}/{prefix}/song_data",
        aws_endpoint_url=servers.s3.url,
        new_warehouse=lambda: servers().model_copy(update={"copy_first": True}),
        s3=servers.s3,
        prefix=prefix,
    )
    servers.s3.put(BUCKET, {})
    assert world.warehouse.copies_first(world.log_data)
    return world
