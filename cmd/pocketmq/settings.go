package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pocketmq/pocketmq/amqpserver"
)

// settings are what the flags say.
type settings struct {
	amqp, amqps                string // addresses; "" = none
	tlsCert, tlsKey, tlsCA     string // files
	vhosts, users              []string
	compat                     string
	logLevel                   slog.Level
	showVersion                bool
	tracing, events            bool
	options                    []amqpserver.Option
	frameMax, channelMax       limit
	maxConnections, maxQueues  limit
	heartbeat, consumerTimeout interval
	sendTimeout                interval
	memoryLimit, maxMessageLen size
}

// errUsage is the error for arguments that are wrong, and have been explained.
var errUsage = errors.New("wrong arguments")

var compatibility = map[string]amqpserver.Compatibility{
	"3.10": amqpserver.V3_10, "4.0": amqpserver.V4_0, "4.3": amqpserver.V4_3,
}

// parse reads the arguments, and tells on w what is wrong with them.
func parse(args []string, w io.Writer) (*settings, error) {
	s := &settings{vhosts: []string{"/"}, compat: "4.0"}
	f := s.flags()
	f.SetOutput(io.Discard)
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		f.SetOutput(w)
		f.Usage()
		return nil, err
	}
	if err == nil {
		err = s.check(f.Args())
	}
	if err != nil {
		return nil, usageError(w, err)
	}
	s.setOptions()
	return s, nil
}

// usageError tells what is wrong with the arguments, in a line.
func usageError(w io.Writer, err error) error {
	fmt.Fprintf(w, "pocketmq: %s; -h lists all flags\n", byFlag(err.Error()))
	return errUsage
}

var (
	optionError = regexp.MustCompile(`^amqpserver: (\w+): `)
	wordInside  = regexp.MustCompile(`\B[A-Z]`)
)

// byFlag says of a flag what amqpserver says of the option that it sets: they have the
// same name, but for how it is written.
func byFlag(text string) string {
	m := optionError.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	name := strings.ToLower(wordInside.ReplaceAllString(m[1], "-$0"))
	return "-" + name + ": " + text[len(m[0]):]
}

// flags returns the flags, which set s.
func (s *settings) flags() *flag.FlagSet {
	f := flag.NewFlagSet("pocketmq", flag.ContinueOnError)
	f.StringVar(&s.amqp, "amqp", "127.0.0.1:5672", "listen for AMQP on this `address`; \"\" for no such listener, port 0 for a free port")
	f.StringVar(&s.amqps, "amqps", "", "listen for AMQP over TLS on this `address`; needs -tls-cert and -tls-key")
	f.StringVar(&s.tlsCert, "tls-cert", "", "`file` with the server's certificate, PEM")
	f.StringVar(&s.tlsKey, "tls-key", "", "`file` with its private key, PEM")
	f.StringVar(&s.tlsCA, "tls-ca", "", "`file` with the authorities, PEM, of which clients must have a certificate, by which they can log in (EXTERNAL) as the -user of its common name")
	f.Func("user", "add a user, as `name:password`, who may do everything in every virtual host; may be repeated. Without it there is guest:guest, from this machine only; with it there is no guest unless added", s.addUser)
	f.Func("vhost", "add a virtual host of this `name` to \"/\"; may be repeated", s.addVHost)
	f.Var(&s.maxConnections, "max-connections", "the most connections to one virtual host, as a `number`; by default any, as with -1")
	f.Var(&s.memoryLimit, "memory-limit", "block publishers while the heap is above this `size`, such as 512MiB; by default there is no limit, as with -1")
	f.Var(&s.maxMessageLen, "max-message-size", "the largest body of a message, as a `size`; by default 16MiB, before 4.0 128MiB; -1 for 512MiB, the most that RabbitMQ allows")
	f.Var(&s.frameMax, "frame-max", "the largest frame to be negotiated, in `bytes`; by default 131072, -1 for no limit")
	f.Var(&s.channelMax, "channel-max", "the most channels of a connection, as a `number`; by default 2047, -1 for 65535")
	f.Var(&s.heartbeat, "heartbeat", "the `interval` of heartbeats proposed to clients; by default 60s, -1 for none")
	f.Var(&s.sendTimeout, "send-timeout", "drop a client that takes nothing of what is sent to it for this `time`; by default 30s, -1 for none")
	f.Var(&s.consumerTimeout, "consumer-timeout", "close a channel that leaves a delivery unsettled for this `time`; by default 30m; with -compat 4.3 of quorum queues only; -1 for none")
	f.Var(&s.maxQueues, "max-queues", "the most queues that clients may have in one virtual host, as a `number`; by default any, as with -1")
	f.StringVar(&s.compat, "compat", s.compat, "behave like this `version` of RabbitMQ: 3.10, 4.0 or 4.3")
	f.Func("log-level", "log from this `level` on: debug, info, warn or error; by default info", s.setLogLevel)
	f.BoolVar(&s.tracing, "tracing", false, "publish copies of all messages to amq.rabbitmq.trace")
	f.BoolVar(&s.events, "events", false, "publish what is created and deleted to amq.rabbitmq.event")
	f.BoolVar(&s.showVersion, "version", false, "print the version and exit")
	return f
}

func (s *settings) addUser(arg string) error {
	name, password, _ := strings.Cut(arg, ":")
	switch {
	case name == "" || password == "":
		return errors.New("want name:password")
	case slices.Contains(s.users, name):
		return fmt.Errorf("there is a user %q already", name)
	}
	s.options = append(s.options, amqpserver.User(name, password, amqpserver.Tags("administrator")))
	s.users = append(s.users, name)
	return nil
}

func (s *settings) addVHost(name string) error {
	if name == "" {
		return errors.New("want a name")
	}
	if slices.Contains(s.vhosts, name) {
		return fmt.Errorf("there is a virtual host %q already", name)
	}
	s.vhosts = append(s.vhosts, name)
	return nil
}

func (s *settings) setLogLevel(arg string) error {
	if s.logLevel.UnmarshalText([]byte(arg)) != nil {
		return errors.New("want debug, info, warn or error")
	}
	return nil
}

// check looks at what a single flag cannot know.
func (s *settings) check(rest []string) error {
	_, known := compatibility[s.compat]
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q; all settings are flags", rest[0])
	case !known:
		return fmt.Errorf("-compat %s: want 3.10, 4.0 or 4.3", s.compat)
	case s.amqp == "" && s.amqps == "":
		return errors.New("nothing to listen on: -amqp is \"\" and there is no -amqps")
	case s.amqps != "" && (s.tlsCert == "" || s.tlsKey == ""):
		return errors.New("-amqps needs a certificate: -tls-cert and -tls-key")
	case s.amqps == "" && (s.tlsCert != "" || s.tlsKey != "" || s.tlsCA != ""):
		return errors.New("a certificate without an address to use it for: -amqps, such as 127.0.0.1:5671")
	case s.memoryLimit > 0 && s.memoryLimit < leastMemory:
		return fmt.Errorf("-memory-limit %d is in bytes, and the program itself needs more; want such as 512MiB", s.memoryLimit)
	}
	return nil
}

// leastMemory is what there must be for more than the program itself.
const leastMemory = 16 << 20

// setOptions adds the server's options for all that does not depend on the brokers.
func (s *settings) setOptions() {
	s.options = append(s.options,
		amqpserver.Compat(compatibility[s.compat]),
		amqpserver.FrameMax(int(s.frameMax)),
		amqpserver.ChannelMax(int(s.channelMax)),
		amqpserver.Heartbeat(time.Duration(s.heartbeat)),
		amqpserver.SendTimeout(time.Duration(s.sendTimeout)),
		amqpserver.ConsumerTimeout(time.Duration(s.consumerTimeout)),
		amqpserver.MaxConnections(int(s.maxConnections)),
		amqpserver.MaxQueues(int(s.maxQueues)),
		amqpserver.MaxMessageSize(int64(s.maxMessageLen)),
		amqpserver.MemoryLimit(int64(s.memoryLimit)),
	)
}

// The flags for limits have values of these types. In them 0 is the default, for the
// options, and -1 none. Nobody may say 0: some of RabbitMQ's settings mean none by it,
// and some that nothing is allowed.

// limit is a number of things.
type limit int

// Set implements flag.Value.
func (l *limit) Set(arg string) error {
	n, err := strconv.Atoi(arg)
	if err != nil || n < -1 || n == 0 {
		return errors.New("want a number, 1 or more, or -1 for no limit")
	}
	*l = limit(n)
	return nil
}

// String implements flag.Value.
func (l *limit) String() string { return strconv.Itoa(int(*l)) }

// interval is a time.
type interval time.Duration

// Set implements flag.Value.
func (i *interval) Set(arg string) error {
	if arg == "-1" {
		*i = -1
		return nil
	}
	d, err := time.ParseDuration(arg)
	if err != nil || d <= 0 {
		return errors.New("want a time, such as 60s or 30m, or -1 for none")
	}
	*i = interval(d)
	return nil
}

// String implements flag.Value.
func (i *interval) String() string { return time.Duration(*i).String() }

// size is a number of bytes, which may be written with a unit.
type size int64

var units = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// Set implements flag.Value.
func (s *size) Set(arg string) error {
	number, unit := arg, int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(arg, u.name); ok {
			number, unit = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n <= 0 && arg != "-1" || n > math.MaxInt64/unit {
		return errors.New("want a number of bytes, such as 1000000, 512MiB or 2GiB, or -1 for no limit")
	}
	*s = size(n * unit)
	return nil
}

// String implements flag.Value.
func (s *size) String() string { return strconv.FormatInt(int64(*s), 10) }
