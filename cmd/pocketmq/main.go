// Pocketmq is a message broker that any client of RabbitMQ can connect to. It
// keeps everything in memory and needs no configuration:
//
//	go run github.com/pocketmq/pocketmq/cmd/pocketmq
//
// listens on 127.0.0.1:5672 for the user guest with the password guest. When it
// accepts connections it prints one line with its URL on standard output; its
// log goes to standard error. SIGINT and SIGTERM end it: clients are told so
// (320 CONNECTION_FORCED), as by a RabbitMQ that is shut down.
//
// With -tls-ca who connects over TLS must have a certificate, by which it can log in
// (EXTERNAL) as the user of its common name.
//
// Run it with -h for its flags. With -amqp 127.0.0.1:0 it picks a free port. For
// users with permissions, policies and the like write a program of your own with
// the package amqpserver: this one has users who may do everything.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/pocketmq/pocketmq"
	"github.com/pocketmq/pocketmq/amqpserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		os.Exit(2) // it was told already
	default:
		fmt.Fprintln(os.Stderr, "pocketmq:", err)
		os.Exit(1)
	}
}

// grace is how long clients have to answer that they are told to go.
const grace = 5 * time.Second

// run is the program: it serves until ctx ends, or a listener fails.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case s.showVersion:
		_, err := fmt.Fprintln(stdout, "pocketmq", version())
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: s.logLevel}))
	brokers, server, err := s.build(log)
	if err != nil {
		return usageError(stderr, err)
	}
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	s.warn(log, listeners)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(l) }()
	}
	if _, err = fmt.Fprintln(stdout, s.ready(listeners)); err == nil {
		err = wait(ctx, failed)
	}
	return errors.Join(err, shutDown(log, server, brokers))
}

// wait returns nil when ctx ends, or the error of a listener that failed.
func wait(ctx context.Context, failed <-chan error) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return fmt.Errorf("accepting connections: %w", err)
	}
}

// build makes the broker of each virtual host, and the server for all of them.
func (s *settings) build(log *slog.Logger) ([]*pocketmq.Broker, *amqpserver.Server, error) {
	var brokers []*pocketmq.Broker
	opts := append(s.options, amqpserver.Logger(log))
	for i, name := range s.vhosts {
		own := []pocketmq.Option{pocketmq.Logger(log), pocketmq.VHost(name)}
		if s.events {
			own = append(own, pocketmq.Events())
		}
		b := pocketmq.New(own...)
		b.SetTracing(s.tracing)
		brokers = append(brokers, b)
		if i > 0 { // the first is "/"
			opts = append(opts, amqpserver.VHost(name, b))
		}
	}
	server, err := amqpserver.New(brokers[0], opts...)
	return brokers, server, err
}

// shutDown ends the server, and then what it served.
func shutDown(log *slog.Logger, server *amqpserver.Server, brokers []*pocketmq.Broker) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("connections were dropped that did not answer", "after", grace)
	}
	var errs []error
	for _, b := range brokers {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// ready is the line that says where to connect to.
func (s *settings) ready(listeners []net.Listener) string {
	var urls []string
	for _, l := range listeners {
		scheme := "amqp"
		if _, ok := l.(*tlsListener); ok {
			scheme = "amqps"
		}
		urls = append(urls, scheme+"://"+l.Addr().String())
	}
	noun := "vhost"
	if len(s.vhosts) > 1 {
		noun = "vhosts"
	}
	return fmt.Sprintf("pocketmq %s is ready at %s (%s %s, RabbitMQ %s semantics)",
		version(), strings.Join(urls, " and "), noun, strings.Join(s.vhosts, ", "), s.compat)
}

// warn tells of settings that are allowed and perhaps not meant.
func (s *settings) warn(log *slog.Logger, listeners []net.Listener) {
	if len(s.users) > 0 {
		return
	}
	for _, l := range listeners {
		if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
			log.Warn("guest can only log in from this machine; add users with -user name:password", "address", a.String())
		}
	}
}

// version is this program's, or "devel" if it was not installed by its version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}
