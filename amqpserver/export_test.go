package amqpserver

// SetHeap replaces what is compared with MemoryLimit.
func (s *Server) SetHeap(f func() uint64) { s.memory.heap = f }

// AnswerRoom is how much may be waiting for a client that does not read.
const AnswerRoom = answerRoom

// MaxAhead is how much is read while a connection waits.
const MaxAhead = maxAhead

// HostPort takes an address apart for events.
var HostPort = hostPort
