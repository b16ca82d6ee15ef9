"""Lesson 6: asks for a Fibonacci number and waits for the answer."""

import sys
import uuid

import pika
from pocketmq_example import connect


class FibonacciClient:
    def __init__(self):
        self.connection = connect()
        self.channel = self.connection.channel()
        self.replies = self.channel.queue_declare(queue="", exclusive=True).method.queue
        self.channel.basic_consume(
            queue=self.replies, on_message_callback=self.on_reply, auto_ack=True
        )
        self.asked = None
        self.reply = None

    def on_reply(self, channel, method, properties, body):
        if properties.correlation_id == self.asked:
            self.reply = int(body)

    def call(self, n):
        self.reply = None
        self.asked = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange="",
            routing_key="rpc_queue",
            properties=pika.BasicProperties(reply_to=self.replies, correlation_id=self.asked),
            body=str(n),
        )
        while self.reply is None:
            self.connection.process_data_events(time_limit=None)
        return self.reply


n = int(sys.argv[1]) if len(sys.argv) > 1 else 30
client = FibonacciClient()
print(f"fibonacci({n}) = {client.call(n)}", flush=True)
client.connection.close()
