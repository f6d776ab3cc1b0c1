"""A server on loopback that speaks the protocol of S3, as object stores do, with a bucket in it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "logs"


class ObjectStore(NamedTuple):
    """A bucket that is served, and what a process needs in its environment to read it."""

    client: Any
    environment: Mapping[str, str]

    def put(self, key: str, content: bytes) -> str:
        """Put an object there, in the place of one of that name; return its URL."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def remove(self, key: str) -> None:
        """Take an object away."""
        self.client.delete_object(Bucket=BUCKET, Key=key)


@contextmanager
def served() -> Iterator[ObjectStore]:
    """Yield an object store for the length of the block, which this process and its children can read."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            "AWS_ACCESS_KEY_ID": "reader",
            "AWS_SECRET_ACCESS_KEY": "reader",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        with patch.dict(os.environ, environment):
            client = boto3.client("s3")
            client.create_bucket(Bucket=BUCKET)
            yield ObjectStore(client, environment)
    finally:
        server.stop()
