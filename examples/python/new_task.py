"""Lesson 2: puts a task into the queue tasks. Each dot in it is a second of work."""

import sys

import pika
from pocketmq_example import connect

connection = connect()
channel = connection.channel()
channel.queue_declare(queue="tasks", durable=True)

task = " ".join(sys.argv[1:]) or "A task."
channel.basic_publish(
    exchange="",
    routing_key="tasks",
    body=task,
    properties=pika.BasicProperties(delivery_mode=2),  # survives a RabbitMQ's restart
)
print(f"sent {task!r}", flush=True)

connection.close()
