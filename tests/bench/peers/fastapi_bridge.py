"""The FastAPI peer: uvicorn (uvloop, httptools), aio-pika, cryptography. `uvicorn fastapi_bridge:app`.

It does the job of the benchmark and no more, as peers/bridge.go does: topic, signature, publish persistent and mandatory,
200 after the confirm; 4xx for a message that is not genuine, 503 for one that the broker refused, returned or did not
confirm in time.
"""

import base64
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fastapi import FastAPI, Request, Response

DEADLINE = 10.0
DIGESTS = {"1": hashes.SHA1(), "2": hashes.SHA256()}
PADDING = padding.PKCS1v15()
SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
QUEUE, TOPIC, CERTIFICATE_URL = (os.environ[f"BENCH_{name}"] for name in ("QUEUE", "TOPIC", "CERTIFICATE_URL"))
KEY: Any = x509.load_pem_x509_certificate(Path(os.environ["BENCH_CERTIFICATE"]).read_bytes()).public_key()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    connection = await aio_pika.connect_robust(os.environ["BENCH_AMQP_URL"])
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    app.state.exchange = channel.default_exchange
    yield
    await connection.close()


app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)


def genuine(fields: dict[str, Any]) -> bool:
    if fields["Type"] != "Notification" or fields["TopicArn"] != TOPIC or fields["SigningCertURL"] != CERTIFICATE_URL:
        return False
    text = "".join(f"{name}\n{fields[name]}\n" for name in SIGNED if name in fields)
    try:
        KEY.verify(base64.b64decode(fields["Signature"]), text.encode(), PADDING, DIGESTS[fields["SignatureVersion"]])
    except InvalidSignature:
        return False
    return True


@app.post("/")
async def deliver(request: Request) -> Response:
    body = await request.body()
    try:
        fields = json.loads(body)
        if not genuine(fields):
            return Response(status_code=403)
        message_id = fields["MessageId"]
    except (ValueError, KeyError, TypeError):
        return Response(status_code=400)
    message = aio_pika.Message(
        body, content_type="text/plain; charset=UTF-8", message_id=message_id, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
    )
    try:
        await request.app.state.exchange.publish(message, QUEUE, mandatory=True, timeout=DEADLINE)
    except (aio_pika.exceptions.AMQPError, ConnectionError, TimeoutError):
        return Response(status_code=503)
    return Response(status_code=200)
