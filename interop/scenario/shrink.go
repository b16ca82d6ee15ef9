package scenario

import "slices"

// Shrink leaves out steps, as long as fails says that what remains still fails,
// but tries it no more often than budget says.
func Shrink(s *Scenario, budget int, fails func(*Scenario) bool) *Scenario {
	for size := len(s.Steps) / 2; size > 0; {
		shorter := false
		for from := 0; from+size <= len(s.Steps) && budget > 0; {
			budget--
			candidate := *s
			candidate.Steps = slices.Delete(slices.Clone(s.Steps), from, from+size)
			if len(candidate.Steps) > 0 && fails(&candidate) {
				s, shorter = &candidate, true
			} else {
				from += size
			}
		}
		if !shorter || size > 1 {
			size /= 2
		}
		if budget <= 0 {
			break
		}
	}
	return s
}
