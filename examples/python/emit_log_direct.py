"""Lesson 4: sends a log line of some severity."""

import sys

from pocketmq_example import connect

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="direct_logs", exchange_type="direct")

severity = sys.argv[1] if len(sys.argv) > 1 else "info"
line = " ".join(sys.argv[2:]) or "Hello World!"
channel.basic_publish(exchange="direct_logs", routing_key=severity, body=line)
print(f"sent {severity}: {line!r}", flush=True)

connection.close()
