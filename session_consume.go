package pocketmq

import (
	"context"
	"maps"
	"slices"
)

// Consume is described at Client.
func (s *Session) Consume(ctx context.Context, queue string, opts ...ConsumeOption) (*Consumer, error) {
	return consumeWith(opts, func(cfg consumeConfig) (*Consumer, error) { return s.consume(ctx, queue, cfg) })
}

// consumeWith is Consume for what consume consumes from.
func consumeWith(opts []ConsumeOption, consume func(consumeConfig) (*Consumer, error)) (*Consumer, error) {
	cfg, err := consumeConfigOf(opts)
	if err != nil {
		return nil, err
	}
	if cfg.concurrency != 0 {
		return nil, invalid("Concurrency is for Handle: the goroutines that fetch are yours")
	}
	if !cfg.prefetchSet {
		cfg.prefetch = DefaultPrefetch
	}
	return consume(cfg)
}

// Handle is described at Client.
func (s *Session) Handle(ctx context.Context, queue string, h Handler, opts ...ConsumeOption) (*Consumer, error) {
	return handleWith(ctx, h, opts, func(cfg consumeConfig) (*Consumer, error) { return s.consume(ctx, queue, cfg) })
}

// handleWith is Handle for what consume consumes from.
func handleWith(ctx context.Context, h Handler, opts []ConsumeOption, consume func(consumeConfig) (*Consumer, error)) (*Consumer, error) {
	if h == nil {
		return nil, invalid("Handle: the handler is nil; to fetch messages yourself, use Consume")
	}
	cfg, err := consumeConfigOf(opts)
	if err != nil {
		return nil, err
	}
	cfg.concurrency = max(cfg.concurrency, 1)
	if !cfg.prefetchSet {
		cfg.prefetch = cfg.concurrency
	}
	c, err := consume(cfg)
	if err != nil {
		return nil, err
	}
	c.start(ctx, h, cfg.concurrency)
	return c, nil
}

func consumeConfigOf(opts []ConsumeOption) (consumeConfig, error) {
	c := configOf(opts, ConsumeOption.consume)
	return c, c.err
}

func (s *Session) consume(ctx context.Context, name string, cfg consumeConfig) (*Consumer, error) {
	q, err := s.queue(ctx, name)
	if err != nil {
		return nil, err
	}
	cfg.wire, cfg.version = s.wire, s.version
	if err := q.readArguments(&cfg); err != nil {
		return nil, err
	}
	c := newConsumer(s, q, cfg)
	if err := s.remember(c); err != nil {
		return nil, err
	}
	if err := q.subscribe(c, &cfg); err != nil {
		s.release(c)
		return nil, err
	}
	s.broker.tellNews()
	c.endWith(ctx)
	return c, nil
}

// remember enters c under its tag, making one up if it has none.
func (s *Session) remember(c *Consumer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return errSessionClosed // meanwhile: nobody would end the consumer
	}
	if c.tag == "" {
		c.tag = "amq.ctag-" + randomName()
	}
	switch other := s.consumers[c.tag]; {
	case other == nil:
	case other.isEnding(): // its end is known already, and soon it is forgotten
		s.ended[other] = struct{}{}
	default:
		return newError(ErrNotAllowed, CodeNotAllowed, "attempt to reuse consumer tag '%s'", c.tag)
	}
	s.consumers[c.tag] = c
	return nil
}

// release makes c's tag free again.
func (s *Session) release(c *Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.consumers[c.tag] == c {
		delete(s.consumers, c.tag)
	}
}

// forget is release for a consumer that ended. Close must still wait for its
// handlers, and return what it has not settled.
func (s *Session) forget(c *Consumer) {
	s.mu.Lock()
	if s.consumers[c.tag] == c {
		delete(s.consumers, c.tag)
	}
	s.ended[c] = struct{}{}
	s.mu.Unlock()
	s.tidy()
}

// tidyStep is how many entries the session keeps for nothing, at least.
const tidyStep = 32

// tidy forgets the consumers of which nothing is left, and what was got from
// queues that were deleted. It looks at all of them only after their number has
// doubled, so that it costs each of them little.
func (s *Session) tidy() {
	s.mu.Lock()
	if len(s.ended)+len(s.got) < s.tidyAt {
		s.mu.Unlock()
		return
	}
	ended, queues := slices.Collect(maps.Keys(s.ended)), slices.Collect(maps.Keys(s.got))
	s.mu.Unlock()
	ended = slices.DeleteFunc(ended, func(c *Consumer) bool { return !c.isOver() })
	queues = slices.DeleteFunc(queues, func(q *queue) bool { return !q.isGone() })
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range ended {
		delete(s.ended, c)
	}
	for _, q := range queues {
		delete(s.got, q)
	}
	s.tidyAt = 2*(len(s.ended)+len(s.got)) + tidyStep
}
