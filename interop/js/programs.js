// Five small programs with amqplib, each of which checks its own result:
//
//   AMQP_URL=amqp://... node programs.js hello|workqueue|pubsub|rpc|confirm

import assert from 'node:assert/strict'
import amqplib from 'amqplib'

// consume starts a consumer and returns a function that waits for its next message.
async function consume(channel, queue, options) {
  const arrived = []
  const waiting = []
  await channel.consume(queue, (message) => {
    const next = waiting.shift()
    if (next) next(message)
    else arrived.push(message)
  }, options)
  return () => new Promise((resolve) => {
    if (arrived.length > 0) resolve(arrived.shift())
    else waiting.push(resolve)
  })
}

async function exclusiveQueue(channel) {
  return (await channel.assertQueue('', { exclusive: true })).queue
}

const programs = {
  async hello(connection) {
    const channel = await connection.createChannel()
    const queue = await exclusiveQueue(channel)
    channel.sendToQueue(queue, Buffer.from('Hello World!'), { contentType: 'text/plain', headers: { n: 1, ok: true, deep: { list: ['a', 2] } } })
    const next = await consume(channel, queue)
    const message = await next()
    assert.equal(message.content.toString(), 'Hello World!')
    assert.equal(message.properties.contentType, 'text/plain')
    assert.deepEqual(message.properties.headers, { n: 1, ok: true, deep: { list: ['a', 2] } })
    channel.ack(message)
    assert.equal(await channel.get(queue), false)
  },

  async workqueue(connection) {
    const channels = [await connection.createChannel(), await connection.createChannel()]
    const queue = await exclusiveQueue(channels[0])
    const workers = []
    for (const channel of channels) {
      await channel.prefetch(1)
      workers.push(await consume(channel, queue))
    }
    for (let i = 1; i <= 4; i++) channels[0].sendToQueue(queue, Buffer.from(`task ${i}`), { persistent: true })
    const done = []
    for (let round = 0; round < 2; round++) {
      const messages = [await workers[0](), await workers[1]()]
      messages.forEach((message, i) => {
        done.push(message.content.toString())
        channels[i].ack(message)
      })
    }
    assert.deepEqual(done.sort(), ['task 1', 'task 2', 'task 3', 'task 4'])
  },

  async pubsub(connection) {
    const channel = await connection.createChannel()
    const exchange = `interop.js.${process.pid}`
    await channel.assertExchange(exchange, 'topic', { autoDelete: true, durable: false })
    const queues = [await exclusiveQueue(channel), await exclusiveQueue(channel)]
    await channel.bindQueue(queues[0], exchange, '#')
    await channel.bindQueue(queues[1], exchange, '*.error')
    const [all, errors] = [await consume(channel, queues[0], { noAck: true }), await consume(channel, queues[1], { noAck: true })]
    channel.publish(exchange, 'app.info', Buffer.from('fine'))
    channel.publish(exchange, 'app.error', Buffer.from('boom'))
    assert.equal((await all()).content.toString(), 'fine')
    assert.equal((await all()).content.toString(), 'boom')
    const message = await errors()
    assert.equal(message.fields.routingKey, 'app.error')
  },

  async rpc(connection) {
    const [client, server] = [await connection.createChannel(), await connection.createChannel()]
    const requests = await exclusiveQueue(server)
    await server.consume(requests, (message) => {
      const { replyTo, correlationId } = message.properties
      server.sendToQueue(replyTo, Buffer.from(String(message.content.length)), { correlationId })
      server.ack(message)
    })
    for (const replyTo of ['amq.rabbitmq.reply-to', await exclusiveQueue(client)]) {
      const next = await consume(client, replyTo, { noAck: true })
      client.sendToQueue(requests, Buffer.from('how long?'), { replyTo, correlationId: '42' })
      const reply = await next()
      assert.equal(reply.properties.correlationId, '42')
      assert.equal(reply.content.toString(), '9')
    }
  },

  async confirm(connection) {
    const channel = await connection.createConfirmChannel()
    const queue = await exclusiveQueue(channel)
    for (let i = 0; i < 1000; i++) channel.sendToQueue(queue, Buffer.alloc(100_000))
    await channel.waitForConfirms()
    assert.equal((await channel.checkQueue(queue)).messageCount, 1000)
    const returned = new Promise((resolve) => channel.once('return', resolve))
    channel.publish('', 'interop.nowhere', Buffer.from('x'), { mandatory: true })
    assert.equal((await returned).fields.replyCode, 312)
    channel.once('error', () => {})
    await assert.rejects(channel.checkQueue('interop.nowhere'), /404 \(NOT-FOUND\)/)
  }
}

const connection = await amqplib.connect(process.env.AMQP_URL)
await programs[process.argv[2]](connection)
await connection.close()
console.log('ok')
