package pocketmq

import (
	"context"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// What a client of a broker elsewhere needs beyond the exported API.
func init() {
	hook.ExchangeOptions = func(opts any) (hook.ExchangeConfig, error) {
		c := configOf(opts.([]ExchangeOption), ExchangeOption.exchange)
		if c.maxDelayed != 0 && c.err == nil {
			c.err = notSupported("MaxDelayed: RabbitMQ does not limit delayed messages")
		}
		return hook.ExchangeConfig{
			Passive: c.passive, Durable: c.durable, AutoDelete: c.autoDelete, Internal: c.internal, Arguments: c.args,
		}, c.err
	}
	hook.QueueOptions = func(opts any) (hook.QueueConfig, error) {
		c := configOf(opts.([]QueueOption), QueueOption.queue)
		return hook.QueueConfig{
			Passive: c.passive, Durable: c.durable, AutoDelete: c.autoDelete, Exclusive: c.exclusive, Arguments: c.args,
		}, c.check()
	}
	hook.BindOptions = func(opts any) map[string]any { return configOf(opts.([]BindOption), BindOption.bind).args }
	hook.DeleteOptions = func(opts any) hook.DeleteConfig {
		c := configOf(opts.([]DeleteOption), DeleteOption.delete)
		return hook.DeleteConfig{IfUnused: c.ifUnused, IfEmpty: c.ifEmpty}
	}
	hook.PublishOptions = func(opts any) (bool, error) {
		flags, err := publishFlagsOf(opts.([]PublishOption))
		return flags&Mandatory != 0, err
	}
	hook.GetOptions = func(opts any) bool { return configOf(opts.([]GetOption), GetOption.get).autoAck }
	hook.Consume = func(ctx context.Context, session any, queue string, opts any, source hook.Source) (any, error) {
		return consumeWith(opts.([]ConsumeOption), func(cfg consumeConfig) (*Consumer, error) {
			return session.(*Session).consumeFrom(ctx, source, queue, cfg)
		})
	}
	hook.Handle = func(ctx context.Context, session any, queue string, h, opts any, source hook.Source) (any, error) {
		return handleWith(ctx, h.(Handler), opts.([]ConsumeOption), func(cfg consumeConfig) (*Consumer, error) {
			return session.(*Session).consumeFrom(ctx, source, queue, cfg)
		})
	}
	hook.Getter = func(session any, queue string, up hook.Upstream) func(hook.Got, bool) (any, error) {
		return session.(*Session).getter(queue, up)
	}
	hook.CheckName = checkName
	hook.CheckKey = checkKey
	hook.CheckTable = func(what string, t map[string]any) error { return checkTable(what, t, 0) }
	hook.CheckMessage = func(m any) error { return m.(*Message).check() }
	hook.RandomName = randomName
	hook.Error = func(is error, code int, text string) error { return newError(is, code, "%s", text) }
}
