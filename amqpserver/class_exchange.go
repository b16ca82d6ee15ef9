package amqpserver

import (
	"context"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/internal/hook"
	"github.com/pocketmq/pocketmq/internal/wire"
)

// background is the context of what does not wait.
var background = context.Background()

// cleanName removes what RabbitMQ removes from names (EXCH-16), so that
// permissions are checked for the name that counts.
func cleanName(name string) string { return hook.TrimName(name) }

// exchange.declare: EXCH-2 … EXCH-16, PERM-6, PERM-7, PERM-11
func (ch *channel) exchangeDeclare(m *wire.ExchangeDeclare) error {
	name := cleanName(m.Exchange)
	if m.Passive {
		return ch.exchangeDeclarePassive(name, m)
	}
	if err := ch.mayDeclareExchange(name, m); err != nil {
		return err
	}
	opts := []pocketmq.ExchangeOption{pocketmq.Arguments(m.Arguments)}
	if m.Durable {
		opts = append(opts, pocketmq.Durable())
	}
	if m.AutoDelete {
		opts = append(opts, pocketmq.AutoDelete())
	}
	if m.Internal {
		opts = append(opts, pocketmq.Internal())
	}
	if err := ch.session.DeclareExchange(background, name, m.Type, opts...); err != nil {
		return ch.unknownType(err)
	}
	ch.answer(m.NoWait, &wire.ExchangeDeclareOk{})
	return nil
}

func (ch *channel) exchangeDeclarePassive(name string, m *wire.ExchangeDeclare) error {
	if err := ch.session.DeclareExchange(background, name, m.Type, pocketmq.Passive()); err != nil {
		return err
	}
	if err := ch.mayAny("exchange", name); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeDeclareOk{})
	return nil
}

func (ch *channel) mayDeclareExchange(name string, m *wire.ExchangeDeclare) error {
	if name == "" {
		return errDefaultExchange()
	}
	if err := ch.mayConfigure("exchange", name); err != nil {
		return err
	}
	alternate, ok := m.Arguments["alternate-exchange"].(string)
	if !ok || exchangeExists(ch.conn.broker, name) {
		return nil
	}
	if err := ch.mayRead("exchange", name); err != nil {
		return err
	}
	return ch.mayWrite("exchange", alternate)
}

func errDefaultExchange() error {
	return accessRefused("operation not permitted on the default exchange")
}

// unknownType gives the error of an unknown exchange type the code of the version
// (EXCH-11).
func (ch *channel) unknownType(err error) error {
	e := asCloseError(err)
	if e == nil || e.code != wire.CodeCommandInvalid || ch.conn.server.compat < V4_0 {
		return err
	}
	e.code = wire.CodePreconditionFailed
	return e
}

// exchange.delete: EXCH-13, EXCH-17 … EXCH-20, EXCH-24, PERM-6
func (ch *channel) exchangeDelete(m *wire.ExchangeDelete) error {
	name := cleanName(m.Exchange)
	if name == "" {
		return errDefaultExchange()
	}
	if err := ch.mayConfigure("exchange", name); err != nil {
		return err
	}
	var opts []pocketmq.DeleteOption
	if m.IfUnused {
		opts = append(opts, pocketmq.IfUnused())
	}
	if err := ch.session.DeleteExchange(background, name, opts...); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeDeleteOk{})
	return nil
}

// exchange.bind: EXCH-25 … EXCH-27, PERM-8
func (ch *channel) exchangeBind(m *wire.ExchangeBind) error {
	destination, source, err := ch.mayBindExchanges(m.Destination, m.Source, m.RoutingKey)
	if err != nil {
		return err
	}
	if err := ch.session.BindExchange(background, destination, source, m.RoutingKey, pocketmq.Arguments(m.Arguments)); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeBindOk{})
	return nil
}

// exchange.unbind: EXCH-28, EXCH-29, PERM-8
func (ch *channel) exchangeUnbind(m *wire.ExchangeUnbind) error {
	destination, source, err := ch.mayBindExchanges(m.Destination, m.Source, m.RoutingKey)
	if err != nil {
		return err
	}
	if err := ch.session.UnbindExchange(background, destination, source, m.RoutingKey, pocketmq.Arguments(m.Arguments)); err != nil {
		return err
	}
	ch.answer(m.NoWait, &wire.ExchangeUnbindOk{})
	return nil
}

// mayBindExchanges checks access to both ends of a binding.
func (ch *channel) mayBindExchanges(to, from, key string) (destination, source string, err error) {
	destination, source = cleanName(to), cleanName(from)
	if destination == "" || source == "" {
		return "", "", errDefaultExchange()
	}
	if err := ch.mayWrite("exchange", destination); err != nil {
		return "", "", err
	}
	return destination, source, ch.mayBindFrom(source, key)
}

// mayBindFrom checks access to the source of a binding.
func (ch *channel) mayBindFrom(source, key string) error {
	if err := ch.mayRead("exchange", source); err != nil {
		return err
	}
	return ch.mayReadTopic(source, key)
}
