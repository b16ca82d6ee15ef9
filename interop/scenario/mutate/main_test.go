package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A mutation whose piece of code has changed is noticed here, before it is compiled.
func TestMutationsFitTheCode(t *testing.T) {
	all, err := read("../../mutations.txt")
	require.NoError(t, err)
	_, err = apply(all, "../../..", t.TempDir())
	require.NoError(t, err)
}
