package pocketmq

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// propertyNames are AMQP's, in the order in which properties are encoded.
var propertyNames = [...]string{
	"content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
	"expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
}

// propertyTable returns the properties that m has. RabbitMQ makes all numbers of 32
// bits, also times.
func (m *Message) propertyTable() Table {
	encoded := encodedProperties{}
	if o := m.own(); o != nil {
		encoded = readProperties(o.properties)
	}
	properties := Table{}
	for i, v := range [len(propertyNames)]any{
		m.ContentType, m.ContentEncoding, m.Headers, int32(m.DeliveryMode), int32(m.Priority), m.CorrelationID, m.ReplyTo,
		m.Expiration, m.MessageID, int32(0), m.Type, m.UserID, m.AppID, encoded.clusterID,
	} {
		there := encoded.empty[i]
		switch value := v.(type) {
		case string:
			there = there || value != ""
		case int32:
			there = there || value != 0
		case Table:
			there = there || value != nil
		}
		if there {
			properties[propertyNames[i]] = v
		}
	}
	if !m.Timestamp.IsZero() {
		properties["timestamp"] = int32(m.Timestamp.Unix())
	}
	return properties
}

// encodedProperties is what Message has no place for: which properties are there and
// empty, and one that nobody uses.
type encodedProperties struct {
	empty     [len(propertyNames)]bool
	clusterID string
}

// readProperties reads properties as a message came with them, which were decoded once.
func readProperties(encoded []byte) (p encodedProperties) {
	if len(encoded) == 0 {
		return p
	}
	flags, rest := binary.BigEndian.Uint16(encoded), encoded[2:]
	for i, name := range propertyNames {
		if flags&(1<<(15-i)) == 0 {
			continue
		}
		var size int
		switch name {
		case "headers":
			size = 4 + int(binary.BigEndian.Uint32(rest))
		case "delivery_mode", "priority":
			size = 1
		case "timestamp":
			size = 8
		default:
			size = 1 + int(rest[0])
		}
		p.empty[i] = len(bytes.Trim(rest[:size], "\x00")) == 0
		if name == "cluster_id" {
			p.clusterID = string(rest[1:size])
		}
		rest = rest[size:]
	}
	return p
}

// withoutClusterID returns encoded properties without the last of them.
func withoutClusterID(encoded []byte) []byte {
	const flag = 1 << 2 // in the second octet
	if len(encoded) == 0 || encoded[1]&flag == 0 {
		return encoded
	}
	rest := slices.Clone(encoded[:len(encoded)-1-len(readProperties(encoded).clusterID)])
	rest[1] &^= flag
	return rest
}
