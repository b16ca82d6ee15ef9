package scenario

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// evaluator evaluates Erlang expressions in the server. Starting rabbitmqctl takes
// a second; so it is started once, to start a process there that takes expressions
// over a connection, and ends with it.
type evaluator struct {
	mu sync.Mutex
	nc net.Conn // nil until it is needed
	r  *bufio.Reader
}

// listening is an expression that starts the process. Its value is the port.
const listening = `
	Me = self(),
	Serve = fun Serve(S) ->
		case gen_tcp:recv(S, 0) of
			{ok, Text} ->
				Answer = try
					{ok, Tokens, _} = erl_scan:string(binary_to_list(Text)),
					{ok, Exprs} = erl_parse:parse_exprs(Tokens),
					{value, V, _} = erl_eval:exprs(Exprs, []),
					V
				catch Class:Why -> {Class, Why}
				end,
				ok = gen_tcp:send(S, unicode:characters_to_binary(io_lib:format("~0tp", [Answer]))),
				Serve(S);
			_ -> gen_tcp:close(S)
		end
	end,
	spawn(fun() ->
		group_leader(whereis(user), self()),
		{ok, L} = gen_tcp:listen(0, [binary, {packet, 4}, {active, false}, {ip, {127, 0, 0, 1}}]),
		{ok, P} = inet:port(L),
		Me ! {port, P},
		case gen_tcp:accept(L, 30000) of
			{ok, S} -> gen_tcp:close(L), Serve(S);
			_ -> gen_tcp:close(L)
		end
	end),
	receive {port, Port} -> Port after 10000 -> none end.`

// evalTime is how long an expression may take.
const evalTime = 5 * time.Minute

// eval evaluates an expression, whose value must be ok.
func (r *RabbitMQ) eval(format string, args ...any) error {
	e := &r.evaluator
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.nc == nil {
		if err := r.startEvaluator(); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(format, args...)
	answer, err := e.ask(text)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("%.200s: %s", strings.TrimSpace(text), answer)
	}
	return err
}

func (r *RabbitMQ) startEvaluator() error {
	out, err := r.command("eval", listening)
	if err != nil {
		return err
	}
	nc, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strings.TrimSpace(out)), patience)
	if err != nil {
		return err
	}
	r.evaluator.nc, r.evaluator.r = nc, bufio.NewReader(nc)
	return nil
}

func (e *evaluator) ask(text string) (string, error) {
	_ = e.nc.SetDeadline(time.Now().Add(evalTime))
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
	if _, err := e.nc.Write(b); err != nil {
		return "", err
	}
	var size [4]byte
	if _, err := io.ReadFull(e.r, size[:]); err != nil {
		return "", err
	}
	answer := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(e.r, answer)
	return string(bytes.TrimSpace(answer)), err
}

// Empty removes what scenarios have left in a virtual host, once their connections
// have ended.
func (r *RabbitMQ) Empty(vhost string) error {
	return r.eval(`V = %s,
		Wait = fun Wait(0) -> error(still_connected);
			Wait(N) -> case rabbit_connection_tracking:list(V) of [] -> ok; _ -> timer:sleep(20), Wait(N - 1) end end,
		Wait(250),
		[rabbit_amqqueue:delete(Q, false, false, <<"scenarios">>) || Q <- rabbit_amqqueue:list(V)],
		[rabbit_binding:remove(B, <<"scenarios">>) || B <- rabbit_binding:list(V), element(4, element(2, B)) =/= <<>>],
		[rabbit_exchange:delete(X, false, <<"scenarios">>) || X <- rabbit_exchange:list_names(), element(2, X) =:= V,
			element(4, X) =/= <<>>, binary:match(element(4, X), <<"amq.">>) =/= {0, 4}],
		[] = rabbit_amqqueue:list(V), ok.`, erlangBinary(vhost))
}
