package amqptest

import "log/slog"

// newLogger returns a logger of warnings and errors whose lines go to the
// test's log, where go test shows them if the test fails.
func newLogger(tb TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(tbWriter{tb}, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		},
	}))
}

type tbWriter struct{ tb TB }

func (w tbWriter) Write(line []byte) (int, error) {
	w.tb.Helper()
	w.tb.Logf("amqptest: %s", line)
	return len(line), nil
}
