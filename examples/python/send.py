"""Lesson 1: sends one message to the queue hello."""

import sys

from pocketmq_example import connect

connection = connect()
channel = connection.channel()
channel.queue_declare(queue="hello")

message = " ".join(sys.argv[1:]) or "Hello World!"
channel.basic_publish(exchange="", routing_key="hello", body=message)
print(f"sent {message!r}", flush=True)

connection.close()
