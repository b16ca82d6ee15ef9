package scenario

import "fmt"

// expectedOfRabbitMQ is what should come from a RabbitMQ of a version in a step, when
// this came from pocketmq.
func (s *Scenario) expectedOfRabbitMQ(version string, step int, ours Transcript) []string {
	if step < len(s.Steps) {
		if lines, ok := s.Steps[step].theirs(version); ok {
			return written(lines)
		}
	}
	return written(at(ours.Steps, step))
}

// differ tells whether the transcripts differ other than the script says.
func (s *Scenario) differ(version string, theirs, ours Transcript) bool {
	return theirs.Err != nil || ours.Err != nil || firstDifference(theirs, s.withTheirs(version, ours)) >= 0
}

// withTheirs is pocketmq's transcript with RabbitMQ's answers where it differs on
// purpose.
func (s *Scenario) withTheirs(version string, ours Transcript) Transcript {
	t := Transcript{Err: ours.Err}
	for i := range ours.Steps {
		t.Steps = append(t.Steps, Answers{"": s.expectedOfRabbitMQ(version, i, ours)})
	}
	return t
}

// checkOurs checks that what differs on purpose does so in the way that is written
// down.
func (s *Scenario) checkOurs(ours Transcript) error {
	for i, step := range s.Steps {
		if step.Differs == "" {
			continue
		}
		if equal(step.Ours, step.Theirs) {
			return fmt.Errorf("%s: %q is no difference", step.Pos, step.Differs)
		}
		if got := at(ours.Steps, i); !equal(got, step.Ours) {
			return fmt.Errorf("%s: %v: pocketmq answers\n%q, but this is written down:\n%q", step.Pos, step.Lines, got, step.Ours)
		}
	}
	return nil
}

// in is what pocketmq is to answer in another version: what is written down for
// it, or the same as in its own.
func (s *Scenario) in(version string, own []Answers) []Answers {
	var all []Answers
	for i := range own {
		answers := own[i]
		if i < len(s.Steps) {
			if lines, ok := s.Steps[i].In[version]; ok {
				answers = Answers{"": written(lines)}
			}
		}
		all = append(all, answers)
	}
	return all
}

// firstDifference is the first step in which transcripts differ, or -1.
func firstDifference(a, b Transcript) int {
	for i := range max(len(a.Steps), len(b.Steps)) {
		if i >= len(a.Steps) || i >= len(b.Steps) || !equal(a.Steps[i].lines(), b.Steps[i].lines()) {
			return i
		}
	}
	return -1
}
