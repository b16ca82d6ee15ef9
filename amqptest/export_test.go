package amqptest

// MayCome reports whether the server, or a client, sends methods of this name.
func MayCome(name string, fromServer bool) bool { return mayCome(name, fromServer) }

// BelongsToHandshake reports whether faults never see methods of this name.
func BelongsToHandshake(name string) (yes bool) {
	defer func() { yes = recover() != nil }()
	checkName(name)
	return false
}
