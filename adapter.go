package pocketmq

import (
	"context"

	"github.com/pocketmq/pocketmq/internal/hook"
)

// What packages of this module may do beyond the exported API.
func init() {
	hook.NewMessage = func(properties []byte) any { return newReceivedMessage(properties) }
	hook.Properties = func(m any) (properties []byte, changed bool) { return m.(*Message).receivedProperties() }
	hook.Route = func(s any, exchange, key string, m any) (func(context.Context, bool) error, error) {
		return s.(*Session).route(exchange, key, m.(*Message))
	}
	hook.IsClosed = func(b any) bool { return b.(*Broker).phase.Load() == closed }
	hook.Queue = func(b any, name string) (kind string, exists bool) {
		q, err := b.(*Broker).findQueue(name)
		if err != nil {
			return "", false
		}
		return q.kind(), true
	}
	hook.EndConsumers = func(s any) { s.(*Session).endConsumers() }
	hook.CloseChannels = func(s any) { s.(*Session).closeChildren() }
	hook.CancelConsumers = func(b any, name string) error {
		q, err := b.(*Broker).findQueue(name)
		if err == nil {
			q.cancelConsumers()
		}
		return err
	}
	hook.SettleAll = func(o any, between func(), deliveries any) error {
		return settleInSteps(o.(Outcome), between, deliveries.([]*Delivery))
	}
	hook.Cover = func(w any, consumers []any, unsettled, settled any) {
		all := make([]*Consumer, len(consumers))
		for i, c := range consumers {
			all[i] = c.(*Consumer)
		}
		w.(*Window).cover(all, unsettled.([]*Delivery), settled.([]*Delivery))
	}
	hook.QueueCount = func(b any) int { return b.(*Broker).queues.Len() }
	hook.Exchange = func(b any, name string) (kind string, exists bool) {
		x, ok := b.(*Broker).exchanges.Load(name)
		if !ok {
			return "", false
		}
		return x.kind, true
	}
	hook.CheckPublish = func(b any, exchange string) error {
		_, err := b.(*Broker).publishable(exchange)
		return err
	}
	hook.TrimName = trimName
	hook.WithoutBCC = func(m any) any { return m.(*Message).withoutBCC() }
	hook.CheckExpiration = func(s string) error {
		_, err := parseExpiration(s)
		return err
	}
	hook.Connection = func(v hook.Version, name, user string) any {
		return SessionOption(func(s *Session) {
			s.rabbitMQ, s.wire, s.version, s.who = true, true, v, actor{connection: name, user: user}
		})
	}
	hook.Channel = func(s any, number uint16) any {
		child := s.(*Session).Session()
		child.who.channel = number
		return child
	}
	hook.Event = func(s any, key string, headers func() map[string]any) { s.(*Session).event(key, headers) }
	hook.PID = func(s any) string { return s.(*Session).pid() }
	hook.ErlangArguments = erlangArguments
	hook.Released = released
	hook.ReservedName = func() any { return queueOption(func(c *queueConfig) { c.reserved = true }) }
}
