package wire

// ProtocolHeader is what an AMQP 0-9-1 client sends first, and what a server answers to any header it does not speak.
const ProtocolHeader = "AMQP\x00\x00\x09\x01"

// ProtocolHeaderSize is the length of every protocol header.
const ProtocolHeaderSize = len(ProtocolHeader)

// Protocol is what a client's protocol header asks for.
type Protocol uint8

// The protocols that ParseProtocolHeader recognises.
const (
	ProtocolUnknown Protocol = iota // not AMQP, or a version nobody has heard of
	Protocol091                     // 0-9-1; also 0-9, which RabbitMQ serves as 0-9-1
	Protocol08                      // 0-8, in either of the two headers that clients send for it
	Protocol10                      // 1.0, plain or behind SASL
)

// ParseProtocolHeader tells what the eight bytes of header ask for. Both 0-8 forms exist because the specification
// numbers that version 8-0 in its text and 9-1 in its published header.
func ParseProtocolHeader(header [ProtocolHeaderSize]byte) Protocol {
	switch string(header[:]) {
	case ProtocolHeader, "AMQP\x01\x01\x00\x09":
		return Protocol091
	case "AMQP\x01\x01\x08\x00", "AMQP\x01\x01\x09\x01":
		return Protocol08
	case "AMQP\x00\x01\x00\x00", "AMQP\x03\x01\x00\x00":
		return Protocol10
	}
	return ProtocolUnknown
}
