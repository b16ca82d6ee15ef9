package wire

import (
	"errors"
	"fmt"
	"time"
)

// The bits of Properties.Flags, in the order of the properties on the wire.
const (
	FlagContentType uint16 = 1 << (15 - iota)
	FlagContentEncoding
	FlagHeaders
	FlagDeliveryMode
	FlagPriority
	FlagCorrelationID
	FlagReplyTo
	FlagExpiration
	FlagMessageID
	FlagTimestamp
	FlagType
	FlagUserID
	FlagAppID
	FlagClusterID

	// FlagAll has the bits of all fourteen properties.
	FlagAll = ^uint16(3)
)

var (
	// ErrHeader says that a content header is too short to be one.
	ErrHeader = errors.New("wire: content header cut short")

	// ErrWeight says that a content header's weight is not 0. RabbitMQ answers as if it were no content header.
	ErrWeight = errors.New("wire: content header with weight")

	// ErrProperties says that the properties in a content header are cut short, followed by further bytes, or
	// malformed. RabbitMQ answers INTERNAL_ERROR.
	ErrProperties = errors.New("wire: malformed properties")
)

// Properties are the properties of a message. A field counts only if its bit in Flags is set, so that an empty property
// differs from an absent one and both survive a round trip.
type Properties struct {
	Flags           uint16
	ContentType     string
	ContentEncoding string
	Headers         Table
	DeliveryMode    uint8
	Priority        uint8
	CorrelationID   string
	ReplyTo         string
	Expiration      string
	MessageID       string
	Timestamp       time.Time
	Type            string
	UserID          string
	AppID           string
	ClusterID       string
}

// Has reports whether the property with this flag is present.
func (p *Properties) Has(flag uint16) bool { return p.Flags&flag != 0 }

// NonZero returns the flags of all fields that are not zero, for a caller without a notion of empty properties.
func (p *Properties) NonZero() uint16 {
	return flagIf(p.ContentType != "", FlagContentType) |
		flagIf(p.ContentEncoding != "", FlagContentEncoding) |
		flagIf(len(p.Headers) > 0, FlagHeaders) |
		flagIf(p.DeliveryMode != 0, FlagDeliveryMode) |
		flagIf(p.Priority != 0, FlagPriority) |
		flagIf(p.CorrelationID != "", FlagCorrelationID) |
		flagIf(p.ReplyTo != "", FlagReplyTo) |
		flagIf(p.Expiration != "", FlagExpiration) |
		flagIf(p.MessageID != "", FlagMessageID) |
		flagIf(!p.Timestamp.IsZero(), FlagTimestamp) |
		flagIf(p.Type != "", FlagType) |
		flagIf(p.UserID != "", FlagUserID) |
		flagIf(p.AppID != "", FlagAppID) |
		flagIf(p.ClusterID != "", FlagClusterID)
}

func flagIf(present bool, flag uint16) uint16 {
	if present {
		return flag
	}
	return 0
}

// AppendTo appends the flags and the properties that are present. It fails only for a string or table that has no
// encoding, and returns b as it was.
func (p *Properties) AppendTo(b []byte) ([]byte, error) {
	e := encoder{b: b}
	e.short(p.Flags & FlagAll)
	e.string(p.Has(FlagContentType), p.ContentType)
	e.string(p.Has(FlagContentEncoding), p.ContentEncoding)
	if p.Has(FlagHeaders) {
		e.table(p.Headers)
	}
	if p.Has(FlagDeliveryMode) {
		e.octet(p.DeliveryMode)
	}
	if p.Has(FlagPriority) {
		e.octet(p.Priority)
	}
	e.string(p.Has(FlagCorrelationID), p.CorrelationID)
	e.string(p.Has(FlagReplyTo), p.ReplyTo)
	e.string(p.Has(FlagExpiration), p.Expiration)
	e.string(p.Has(FlagMessageID), p.MessageID)
	if p.Has(FlagTimestamp) {
		e.longlong(uint64(p.Timestamp.Unix()))
	}
	e.string(p.Has(FlagType), p.Type)
	e.string(p.Has(FlagUserID), p.UserID)
	e.string(p.Has(FlagAppID), p.AppID)
	e.string(p.Has(FlagClusterID), p.ClusterID)
	if e.err != nil {
		return e.b[:len(b)], fmt.Errorf("properties: %w", e.err)
	}
	return e.b, nil
}

func (e *encoder) string(present bool, s string) {
	if present {
		e.shortstr(s)
	}
}

// Decode replaces p with the properties in b, which starts with the flags and must end with the last property. Like
// RabbitMQ it does not look at the two bits of the flags that are no property's, the last of which announces further
// flags, for which the basic class has no use. Nothing
// in p refers to b; strings that tend to repeat come from in, which may be nil. The error wraps [ErrProperties]. After
// an error p is meaningless.
func (p *Properties) Decode(b []byte, in *Interner) error {
	d := decoder{b: b, names: in}
	flags := d.short()
	*p = Properties{Flags: flags & FlagAll}
	p.decodeFields(&d)
	if d.cut || len(d.b) > 0 {
		return fmt.Errorf("%w: the flags and the length disagree", ErrProperties)
	}
	if d.err != nil {
		return fmt.Errorf("%w: %w", ErrProperties, d.err)
	}
	return nil
}

func (p *Properties) decodeFields(d *decoder) {
	if p.Has(FlagContentType) {
		p.ContentType = d.shortstr()
	}
	if p.Has(FlagContentEncoding) {
		p.ContentEncoding = d.shortstr()
	}
	if p.Has(FlagHeaders) {
		p.Headers = d.table()
	}
	if p.Has(FlagDeliveryMode) {
		p.DeliveryMode = d.octet()
	}
	if p.Has(FlagPriority) {
		p.Priority = d.octet()
	}
	if p.Has(FlagCorrelationID) {
		p.CorrelationID = d.uniquestr()
	}
	if p.Has(FlagReplyTo) {
		p.ReplyTo = d.shortstr()
	}
	if p.Has(FlagExpiration) {
		p.Expiration = d.shortstr()
	}
	if p.Has(FlagMessageID) {
		p.MessageID = d.uniquestr()
	}
	if p.Has(FlagTimestamp) {
		p.Timestamp = d.time()
	}
	if p.Has(FlagType) {
		p.Type = d.shortstr()
	}
	if p.Has(FlagUserID) {
		p.UserID = d.shortstr()
	}
	if p.Has(FlagAppID) {
		p.AppID = d.shortstr()
	}
	if p.Has(FlagClusterID) {
		p.ClusterID = d.shortstr()
	}
}

// Header is a content header whose properties have not been decoded: a server checks the rest first, and may pass them
// on as they are.
type Header struct {
	Class      uint16
	Weight     uint16
	BodySize   uint64
	Properties []byte // flags and properties, borrowed from the frame
}

// ParseHeader takes apart the payload of a header frame. On [ErrWeight] all fields are set nevertheless.
func ParseHeader(payload []byte) (Header, error) {
	if len(payload) < headerHeadSize {
		return Header{}, ErrHeader
	}
	h := Header{
		Class:      be.Uint16(payload),
		Weight:     be.Uint16(payload[2:]),
		BodySize:   be.Uint64(payload[4:]),
		Properties: payload[headerHeadSize:],
	}
	if h.Weight != 0 {
		return h, ErrWeight
	}
	return h, nil
}

// AppendHeader appends the payload of a header frame for a message of class basic.
func AppendHeader(b []byte, bodySize uint64, p *Properties) ([]byte, error) {
	start := len(b)
	b = be.AppendUint32(b, uint32(ClassBasic)<<16) // the lower half is the weight
	b = be.AppendUint64(b, bodySize)
	b, err := p.AppendTo(b)
	if err != nil {
		return b[:start], err
	}
	return b, nil
}
