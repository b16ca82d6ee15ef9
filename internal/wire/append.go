package wire

import "math"

// AppendFrameHead appends what precedes a frame's payload of size bytes. The payload and FrameEnd must follow.
func AppendFrameHead(b []byte, typ uint8, channel uint16, size uint32) []byte {
	b = be.AppendUint16(append(b, typ), channel)
	return be.AppendUint32(b, size)
}

// AppendFrame appends a frame of any type and payload, valid or not.
func AppendFrame(b []byte, typ uint8, channel uint16, payload []byte) []byte {
	b = AppendFrameHead(b, typ, channel, uint32(len(payload)))
	b = append(b, payload...)
	return append(b, FrameEnd)
}

// AppendMethodFrame appends m as a frame. See [Method] for how not to allocate.
func AppendMethodFrame(b []byte, channel uint16, m Method) ([]byte, error) {
	start := len(b)
	b, err := m.AppendTo(AppendFrameHead(b, FrameMethod, channel, 0))
	return closeFrame(b, start, err)
}

// AppendHeaderFrame appends the content header of a message with bodySize bytes and the properties p.
func AppendHeaderFrame(b []byte, channel uint16, bodySize uint64, p *Properties) ([]byte, error) {
	start := len(b)
	b, err := AppendHeader(AppendFrameHead(b, FrameHeader, channel, 0), bodySize, p)
	return closeFrame(b, start, err)
}

// AppendRawHeaderFrame is AppendHeaderFrame for properties that are encoded already, as [Header] has them.
func AppendRawHeaderFrame(b []byte, channel uint16, bodySize uint64, properties []byte) []byte {
	b = AppendFrameHead(b, FrameHeader, channel, uint32(headerHeadSize+len(properties)))
	b = be.AppendUint32(b, uint32(ClassBasic)<<16) // the lower half is the weight
	b = be.AppendUint64(b, bodySize)
	return append(append(b, properties...), FrameEnd)
}

// closeFrame ends the frame that was begun at start and fills in its size, or takes it back after an error.
func closeFrame(b []byte, start int, err error) ([]byte, error) {
	if err != nil {
		return b[:start], err
	}
	be.PutUint32(b[start+3:], uint32(len(b)-start-frameHeadSize))
	return append(b, FrameEnd), nil
}

// AppendBodyFrames appends body in frames of at most frameMax bytes, overhead included; 0 is no limit. An empty body
// has no frames.
func AppendBodyFrames(b []byte, channel uint16, body []byte, frameMax uint32) []byte {
	room := bodyRoom(frameMax)
	for len(body) > 0 {
		n := min(room, len(body))
		b = AppendFrame(b, FrameBody, channel, body[:n])
		body = body[n:]
	}
	return b
}

// bodyRoom is how much of a body one frame holds. A frame-max too small to hold any is taken for no limit.
func bodyRoom(frameMax uint32) int {
	if frameMax <= FrameOverhead {
		frameMax = math.MaxInt32
	}
	return int(min(frameMax, math.MaxInt32) - FrameOverhead)
}

// AppendHeartbeat appends a heartbeat frame.
func AppendHeartbeat(b []byte) []byte { return AppendFrame(b, FrameHeartbeat, 0, nil) }
