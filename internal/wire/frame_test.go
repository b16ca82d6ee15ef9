package wire

import (
	"bytes"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// frameResult is what one ReadFrame returned, with a payload of its own.
type frameResult struct {
	frame Frame
	err   error
}

// readAll reads frames until one fails for good.
func readAll(r *Reader) []frameResult {
	var results []frameResult
	for {
		f, err := r.ReadFrame()
		f.Payload = bytes.Clone(f.Payload)
		results = append(results, frameResult{f, err})
		if err != nil && !errors.Is(err, ErrUnknownFrame) {
			return results
		}
	}
}

// readTwice also reads with one byte at a time, which must make no difference.
func readTwice(t *testing.T, stream string, frameMax uint32) []frameResult {
	t.Helper()
	read := func(src io.Reader) []frameResult {
		r := NewReader(src)
		r.SetFrameMax(frameMax)
		return readAll(r)
	}
	atOnce, slowly := read(strings.NewReader(stream)), read(iotest.OneByteReader(strings.NewReader(stream)))
	if !reflect.DeepEqual(atOnce, slowly) {
		t.Errorf("read %+v, byte by byte %+v", atOnce, slowly)
	}
	return atOnce
}

func TestFrameBytes(t *testing.T) {
	const (
		ack       = "\x01" + "\x01\x02" + "\x00\x00\x00\x0d" + "\x00\x3c\x00\x50" + "\x00\x00\x00\x00\x00\x00\x00\x07\x00" + "\xce"
		header    = "\x02" + "\x00\x01" + "\x00\x00\x00\x0f" + "\x00\x3c\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x05" + "\x10\x00\x02" + "\xce"
		body      = "\x03" + "\x00\x01" + "\x00\x00\x00\x05" + "hello" + "\xce"
		heartbeat = "\x08" + "\x00\x00" + "\x00\x00\x00\x00" + "\xce"
	)
	written, err := AppendMethodFrame(nil, 258, &BasicAck{DeliveryTag: 7})
	if err != nil {
		t.Fatal(err)
	}
	written, err = AppendHeaderFrame(written, 1, 5, &Properties{Flags: FlagDeliveryMode, DeliveryMode: 2})
	if err != nil {
		t.Fatal(err)
	}
	written = AppendBodyFrames(written, 1, []byte("hello"), 0)
	written = AppendHeartbeat(written)
	if want := ack + header + body + heartbeat; string(written) != want {
		t.Errorf("written\n%q, want\n%q", written, want)
	}

	want := []frameResult{
		{frame: Frame{FrameMethod, 258, []byte(ack[7:20])}},
		{frame: Frame{FrameHeader, 1, []byte(header[7:22])}},
		{frame: Frame{FrameBody, 1, []byte("hello")}},
		{frame: Frame{FrameHeartbeat, 0, []byte{}}},
		{err: io.EOF},
	}
	if got := readTwice(t, string(written), FrameMinSize); !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v, want\n%+v", got, want)
	}
}

func TestFaultyFrames(t *testing.T) {
	for _, test := range []struct {
		words  string
		stream string
		want   *FrameError
	}{
		{"type 9", "\x09\x00\x02\x00\x00\x00\x03abc\xce", &FrameError{Err: ErrUnknownFrame, Type: 9, Channel: 2, Size: 3, Octets: []byte("abc")}},
		{"type 4, empty", "\x04\x00\x00\x00\x00\x00\x00\xce", &FrameError{Err: ErrUnknownFrame, Type: 4, Octets: []byte{}}},
		{"heartbeat with payload", "\x08\x00\x00\x00\x00\x00\x01x\xce", &FrameError{Err: ErrUnknownFrame, Type: 8, Size: 1, Octets: []byte("x")}},
		{"method without ids", "\x01\x00\x01\x00\x00\x00\x03abc\xce", &FrameError{Err: ErrUnknownFrame, Type: 1, Channel: 1, Size: 3, Octets: []byte("abc")}},
		{"header without size", "\x02\x00\x01\x00\x00\x00\x0bhello world\xce", &FrameError{Err: ErrUnknownFrame, Type: 2, Channel: 1, Size: 11, Octets: []byte("hello world")}},
		{"17 octets", "\x09\x00\x00\x00\x00\x00\x11abcdefghijklmnopq\xce", &FrameError{Err: ErrUnknownFrame, Type: 9, Size: 17, Octets: []byte("abcdefghijklmnop")}},
		{"end 0xCD", "\x03\x00\x01\x00\x00\x00\x03abc\xcd", &FrameError{Err: ErrFrameEnd, Type: 3, Channel: 1, Size: 3, End: 0xCD, Octets: []byte("abc")}},
		{"end 0 of an unknown type", "\x09\x00\x01\x00\x00\x00\x00\x00", &FrameError{Err: ErrFrameEnd, Type: 9, Channel: 1, Octets: []byte{}}},
	} {
		t.Run(test.words, func(t *testing.T) {
			got := readTwice(t, test.stream, FrameMinSize)[0].err
			if !reflect.DeepEqual(got, error(test.want)) || !errors.Is(got, test.want.Err) {
				t.Errorf("%#v, want %#v", got, test.want)
			}
		})
	}
}

func TestReadingGoesOnAfterAnUnknownFrameOnly(t *testing.T) {
	const unknown, wrongEnd, heartbeat = "\x09\x00\x00\x00\x00\x00\x00\xce", "\x08\x00\x00\x00\x00\x00\x00\x00", "\x08\x00\x00\x00\x00\x00\x00\xce"
	r := NewReader(strings.NewReader(unknown + heartbeat + wrongEnd + heartbeat))
	for i, want := range []error{ErrUnknownFrame, nil, ErrFrameEnd, ErrFrameEnd} {
		if _, err := r.ReadFrame(); !errors.Is(err, want) {
			t.Errorf("read %d: %v, want %v", i, err, want)
		}
	}
}

// The limit applies to the payload alone, and is 8 less in the error than in the comparison.
func TestFrameMax(t *testing.T) {
	for size, tooLarge := range map[int]bool{4088: false, 4096: false, 4097: true} {
		stream := AppendFrame(nil, FrameBody, 1, make([]byte, size))
		_, err := NewReader(bytes.NewReader(stream)).ReadFrame()
		want := &FrameError{Err: ErrFrameTooLarge, Type: FrameBody, Channel: 1, Size: uint32(size), Limit: 4088}
		if tooLarge && !sameFault(err, want) || !tooLarge && err != nil {
			t.Errorf("payload of %d: %#v", size, err)
		}
	}
}

func sameFault(err error, want *FrameError) bool {
	var got *FrameError
	return errors.As(err, &got) && len(got.Octets) == 0 && got.Error() == want.Error() && got.Limit == want.Limit
}

func TestATooLargeFrameIsRefusedByItsHead(t *testing.T) {
	r := NewReader(io.MultiReader(strings.NewReader("\x03\x00\x01\x00\x00\x10\x01"), iotest.ErrReader(errors.New("read on"))))
	if _, err := r.ReadFrame(); !errors.Is(err, ErrFrameTooLarge) {
		t.Error(err)
	}
}

func TestEndOfStream(t *testing.T) {
	frame := string(AppendFrame(nil, FrameBody, 1, []byte("hello")))
	large := string(AppendFrame(nil, FrameBody, 1, make([]byte, 3*readBufferSize)))
	for n := range len(frame) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		got := readTwice(t, frame+frame[:n], 0)
		if len(got) != 2 || got[1].err != want {
			t.Errorf("%d bytes of a frame: %+v, want %v", n, got, want)
		}
	}
	for _, n := range []int{1, 7, 8, readBufferSize, readBufferSize + 7, len(large) - 1} {
		if got := readAll(readerOf(large[:n], 0)); got[0].err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes of a large frame: %v", n, got[0].err)
		}
	}
}

func readerOf(stream string, frameMax uint32) *Reader {
	r := NewReader(strings.NewReader(stream))
	r.SetFrameMax(frameMax)
	return r
}

// Around the size of the read buffer, where a frame's bytes move from one place to another.
func TestFramesOfAllSizes(t *testing.T) {
	pattern := bytes.Repeat([]byte("0123456789"), 20_000)
	var stream []byte
	var sizes []int
	for _, around := range []int{0, 100, readBufferSize, 2 * readBufferSize, 131_072} {
		for d := -FrameOverhead - 1; d <= FrameOverhead; d++ {
			if n := around + d; n >= 0 {
				stream = AppendFrame(stream, FrameBody, uint16(len(sizes)), pattern[n%10:n+n%10])
				sizes = append(sizes, n)
			}
		}
	}
	for _, src := range []io.Reader{bytes.NewReader(stream), iotest.HalfReader(bytes.NewReader(stream)), iotest.DataErrReader(bytes.NewReader(stream))} {
		r := NewReader(src)
		r.SetFrameMax(131_072 + FrameOverhead)
		for i, n := range sizes {
			f, err := r.ReadFrame()
			if err != nil || int(f.Channel) != i || !bytes.Equal(f.Payload, pattern[n%10:n+n%10]) {
				t.Fatalf("frame %d of size %d: channel %d, size %d, %v", i, n, f.Channel, len(f.Payload), err)
			}
		}
		if _, err := r.ReadFrame(); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
}

func TestMemoryGrowsWithWhatArrives(t *testing.T) {
	r := readerOf("\x03\x00\x01\x7f\xff\xff\x00"+strings.Repeat("x", 100), 0)
	if _, err := r.ReadFrame(); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if cap(r.large) > 2*readBufferSize {
		t.Errorf("100 bytes of a frame that claims 2 GB took %d", cap(r.large))
	}
	if _, err := readerOf("\x03\x00\x01\xff\xff\xff\xff", 0).ReadFrame(); !errors.Is(err, ErrFrameTooLarge) {
		t.Errorf("a frame of 4 GB: %v", err)
	}
}

func TestReadingResumesAfterATimeout(t *testing.T) {
	frame := string(AppendFrame(nil, FrameBody, 1, []byte("hello")))
	for n := range len(frame) {
		timeout := iotest.ErrReader(os.ErrDeadlineExceeded)
		r := NewReader(&inTurn{[]io.Reader{strings.NewReader(frame[:n]), timeout, strings.NewReader(frame[n:])}})
		if _, err := r.ReadFrame(); err != os.ErrDeadlineExceeded {
			t.Errorf("timeout after %d bytes: %v", n, err)
		}
		if f, err := r.ReadFrame(); err != nil || string(f.Payload) != "hello" {
			t.Errorf("after a timeout after %d bytes: %q, %v", n, f.Payload, err)
		}
	}
	body := bytes.Repeat([]byte("0123456789"), readBufferSize/3)
	large := string(AppendFrame(nil, FrameBody, 1, body)) + frame
	for _, n := range []int{6, 7, 8, readBufferSize, readBufferSize + 7, len(body) + 6, len(body) + 7} {
		timeout := iotest.ErrReader(os.ErrDeadlineExceeded)
		r := NewReader(&inTurn{[]io.Reader{strings.NewReader(large[:n]), timeout, timeout, strings.NewReader(large[n:])}})
		r.SetFrameMax(0)
		for range 2 {
			if _, err := r.ReadFrame(); err != os.ErrDeadlineExceeded {
				t.Errorf("timeout after %d bytes of a large frame: %v", n, err)
			}
		}
		if f, err := r.ReadFrame(); err != nil || !bytes.Equal(f.Payload, body) || f.Channel != 1 {
			t.Errorf("after a timeout after %d bytes: %d bytes, %v", n, len(f.Payload), err)
		}
		if f, err := r.ReadFrame(); err != nil || string(f.Payload) != "hello" {
			t.Errorf("after the large frame: %q, %v", f.Payload, err)
		}
	}
}

// inTurn reads from one source after the other, each error but io.EOF once.
type inTurn struct{ sources []io.Reader }

func (r *inTurn) Read(b []byte) (int, error) {
	if len(r.sources) == 0 {
		return 0, io.EOF
	}
	n, err := r.sources[0].Read(b)
	if err != nil {
		r.sources = r.sources[1:]
	}
	if err == io.EOF {
		return r.Read(b)
	}
	return n, err
}

func TestBuffered(t *testing.T) {
	r := readerOf(ProtocolHeader+"\x08\x00\x00\x00\x00\x00\x00\xce"+"\x03\x00\x01\x00\x00\x00\x05hello\xce", 0)
	if h, err := r.ReadProtocolHeader(); string(h[:]) != ProtocolHeader || err != nil {
		t.Fatal(h, err)
	}
	for _, want := range []int{13, 0} {
		if _, err := r.ReadFrame(); err != nil || r.Buffered() != want {
			t.Errorf("buffered %d, %v, want %d", r.Buffered(), err, want)
		}
	}
}

func TestBodyFrames(t *testing.T) {
	body := []byte("0123456789")
	for _, test := range []struct {
		frameMax uint32
		want     []string
	}{
		{0, []string{"0123456789"}},
		{8, []string{"0123456789"}}, // room for nothing is not a limit one can keep
		{9, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}},
		{12, []string{"0123", "4567", "89"}},
		{13, []string{"01234", "56789"}},
		{18, []string{"0123456789"}},
		{1<<32 - 1, []string{"0123456789"}},
	} {
		var want []byte
		for _, part := range test.want {
			want = AppendFrame(want, FrameBody, 3, []byte(part))
		}
		if got := AppendBodyFrames(nil, 3, body, test.frameMax); !bytes.Equal(got, want) {
			t.Errorf("frame-max %d: %q, want %q", test.frameMax, got, want)
		}
	}
	if got := AppendBodyFrames(nil, 3, nil, 4096); len(got) != 0 {
		t.Errorf("an empty body became %q", got)
	}
}

// FuzzFrames reads with the smallest buffer there is, so that frames need not be large to outgrow it.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x00\xce\x03\x00\x01\x00\x00\x00\x05hello\xce"), uint32(4096))
	f.Add([]byte("\x03\x00\x01\x00\x00\x00\x1a"+"abcdefghijklmnopqrstuvwxyz"+"\xce\x08\x00"), uint32(26))
	f.Add([]byte("\x03\x00\x01\x7f\xff\xff\x00hello"), uint32(0))
	f.Add([]byte("\x09\x00\x01\x00\x00\x00\x00\xce\x03\x00\x01\x00\x00\x00\x00\xcd"), uint32(0))
	const small = 16
	f.Fuzz(func(t *testing.T, stream []byte, frameMax uint32) {
		read := func(src io.Reader) []frameResult {
			r := newReader(src, small)
			r.SetFrameMax(frameMax)
			results := readAll(r)
			if cap(r.large) > 4*(len(stream)+small) {
				t.Errorf("%d bytes took %d", len(stream), cap(r.large))
			}
			return results
		}
		results := read(bytes.NewReader(stream))
		if slowly := read(iotest.OneByteReader(bytes.NewReader(stream))); !reflect.DeepEqual(results, slowly) {
			t.Errorf("read %+v, byte by byte %+v", results, slowly)
		}
		var rewritten []byte
		for _, r := range results {
			if r.err != nil {
				break
			}
			rewritten = AppendFrame(rewritten, r.frame.Type, r.frame.Channel, r.frame.Payload)
		}
		if !bytes.HasPrefix(stream, rewritten) {
			t.Errorf("% x was written back as % x", stream, rewritten)
		}
	})
}

func TestReaderHasFrame(t *testing.T) {
	one := AppendFrame(nil, FrameBody, 1, []byte("abc"))
	stream := append(append([]byte{}, one...), one...)
	for missing := range len(one) + 1 {
		r := NewReader(bytes.NewReader(stream[:len(stream)-missing]))
		if r.HasFrame() {
			t.Fatal("nothing was read ahead")
		}
		if _, err := r.ReadFrame(); err != nil {
			t.Fatal(err)
		}
		if got, want := r.HasFrame(), missing == 0; got != want {
			t.Fatalf("HasFrame() = %t with %d bytes missing", got, missing)
		}
	}
}

func TestAppendRawHeaderFrame(t *testing.T) {
	p := Properties{Flags: FlagAppID | FlagClusterID, AppID: "app"}
	want, err := AppendHeaderFrame(nil, 7, 1234, &p)
	if err != nil {
		t.Fatal(err)
	}
	properties, err := p.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendRawHeaderFrame(nil, 7, 1234, properties); !bytes.Equal(got, want) {
		t.Fatalf("got % x, want % x", got, want)
	}
}
