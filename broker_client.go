package pocketmq

import "context"

// What is done on the Broker itself is done in a session of its own, which only
// ends with the Broker.

// DeclareExchange is described at Client.
func (b *Broker) DeclareExchange(ctx context.Context, name, kind string, opts ...ExchangeOption) error {
	return b.root.DeclareExchange(ctx, name, kind, opts...)
}

// DeleteExchange is described at Client.
func (b *Broker) DeleteExchange(ctx context.Context, name string, opts ...DeleteOption) error {
	return b.root.DeleteExchange(ctx, name, opts...)
}

// DeclareQueue is described at Client.
func (b *Broker) DeclareQueue(ctx context.Context, name string, opts ...QueueOption) (QueueInfo, error) {
	return b.root.DeclareQueue(ctx, name, opts...)
}

// DeleteQueue is described at Client.
func (b *Broker) DeleteQueue(ctx context.Context, name string, opts ...DeleteOption) (int, error) {
	return b.root.DeleteQueue(ctx, name, opts...)
}

// PurgeQueue is described at Client.
func (b *Broker) PurgeQueue(ctx context.Context, name string) (int, error) {
	return b.root.PurgeQueue(ctx, name)
}

// Bind is described at Client.
func (b *Broker) Bind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error {
	return b.root.Bind(ctx, queue, exchange, key, opts...)
}

// Unbind is described at Client.
func (b *Broker) Unbind(ctx context.Context, queue, exchange, key string, opts ...BindOption) error {
	return b.root.Unbind(ctx, queue, exchange, key, opts...)
}

// BindExchange is described at Client.
func (b *Broker) BindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error {
	return b.root.BindExchange(ctx, destination, source, key, opts...)
}

// UnbindExchange is described at Client.
func (b *Broker) UnbindExchange(ctx context.Context, destination, source, key string, opts ...BindOption) error {
	return b.root.UnbindExchange(ctx, destination, source, key, opts...)
}

// Publish is described at Client.
func (b *Broker) Publish(ctx context.Context, exchange, key string, m *Message, opts ...PublishOption) error {
	return b.root.Publish(ctx, exchange, key, m, opts...)
}

// Consume is described at Client.
func (b *Broker) Consume(ctx context.Context, queue string, opts ...ConsumeOption) (*Consumer, error) {
	return b.root.Consume(ctx, queue, opts...)
}

// Handle is described at Client.
func (b *Broker) Handle(ctx context.Context, queue string, h Handler, opts ...ConsumeOption) (*Consumer, error) {
	return b.root.Handle(ctx, queue, h, opts...)
}

// Get is described at Client.
func (b *Broker) Get(ctx context.Context, queue string, opts ...GetOption) (Delivery, bool, error) {
	return b.root.Get(ctx, queue, opts...)
}
