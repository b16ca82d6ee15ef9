"""Lesson 3: sends a log line to everybody who listens."""

import sys

from pocketmq_example import connect

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="logs", exchange_type="fanout")

line = " ".join(sys.argv[1:]) or "info: Hello World!"
channel.basic_publish(exchange="logs", routing_key="", body=line)
print(f"sent {line!r}", flush=True)

connection.close()
