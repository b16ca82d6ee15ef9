// Package decimal has the one type that tables of the root package and tables on
// the wire share, so that neither has to be converted to the other.
package decimal

// Decimal is the number Value / 10^Scale.
type Decimal struct {
	Scale uint8
	Value int32
}
