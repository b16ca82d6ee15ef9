// Package layers holds no code, only a test: which package of this module may
// import which, so that dependencies point one way. The table is in the test,
// its reasons are in docs/DESIGN.md.
package layers
