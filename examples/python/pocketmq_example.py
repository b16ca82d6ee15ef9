"""What the programs here share: where the broker is."""

import os

import pika


def connect():
    """Connects to AMQP_URL, or to AMQP_PORT (5672) on this machine."""
    url = os.environ.get("AMQP_URL")
    if url:
        return pika.BlockingConnection(pika.URLParameters(url))
    port = int(os.environ.get("AMQP_PORT", "5672"))
    return pika.BlockingConnection(pika.ConnectionParameters(host="127.0.0.1", port=port))
