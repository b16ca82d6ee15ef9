"""Lesson 5: sends a log line with a key such as kern.critical."""

import sys

from pocketmq_example import connect

connection = connect()
channel = connection.channel()
channel.exchange_declare(exchange="topic_logs", exchange_type="topic")

key = sys.argv[1] if len(sys.argv) > 1 else "anonymous.info"
line = " ".join(sys.argv[2:]) or "Hello World!"
channel.basic_publish(exchange="topic_logs", routing_key=key, body=line)
print(f"sent {key}: {line!r}", flush=True)

connection.close()
