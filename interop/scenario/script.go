package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A Scenario is a story that clients act out on a server. docs: README.md of the
// scripts.
type Scenario struct {
	Area, Name string
	Title      string   // what the comment above it says
	Rules      []string // that it shows
	Pos        string   // file:line
	Global     bool     // it changes what all scenarios see, and is played alone
	Givens     []Given
	Steps      []Step

	sum uint32 // of the script
}

// Full is the scenario's name among all.
func (s *Scenario) Full() string { return s.Area + "/" + s.Name }

// A Given is something there is before the first step: a user, a virtual host,
// permissions.
type Given struct {
	Pos, Kind, Name string
	Options         options
}

// A Step is what happens before the answers are looked at: a line of the script,
// or several in a pipeline.
type Step struct {
	Pos       string
	Lines     []string
	Pipeline  bool                // the lines are sent in one go
	Unordered bool                // the order of what comes on a channel is a matter of chance
	Differs   string              // why the answers are different on purpose
	Theirs    []string            // then: RabbitMQ's
	Ours      []string            // then: pocketmq's
	In        map[string][]string // pocketmq's in other versions, where they are different
	InTheirs  map[string][]string // RabbitMQ's in other versions, where they are neither that nor Theirs
	InDiffers map[string]string   // then: why, if not for the reason in Differs
}

// Differs tells why answers are different from those of RabbitMQ in a version.
func (s *Scenario) Differs(version string) string {
	var reasons []string
	for i := range s.Steps {
		if why := s.Steps[i].differs(version); why != "" {
			reasons = append(reasons, why)
		}
	}
	return strings.Join(reasons, "; ")
}

// differs tells why the answers are different on purpose in a version.
func (s *Step) differs(version string) string {
	v := modeOf(version)
	theirs, ok := s.InTheirs[v]
	switch {
	case s.InDiffers[v] != "":
		return s.InDiffers[v]
	case ok && equal(theirs, s.ours(v)):
		return ""
	}
	return s.Differs
}

// ours is what pocketmq answers in a version, if that is written down.
func (s *Step) ours(mode string) []string {
	if lines, ok := s.In[mode]; ok {
		return lines
	}
	return s.Ours
}

// theirs is what RabbitMQ answers in a version, if that is written down.
func (s *Step) theirs(version string) (lines []string, ok bool) {
	if lines, ok = s.InTheirs[modeOf(version)]; ok {
		return lines, true
	}
	return s.Theirs, s.Differs != ""
}

// Versions lists the versions besides the server's own whose answers are written down.
func (s *Scenario) Versions() []string {
	var all []string
	for _, step := range s.Steps {
		for v := range step.In {
			if !slices.Contains(all, v) {
				all = append(all, v)
			}
		}
	}
	slices.Sort(all)
	return all
}

// String is the scenario's script.
func (s *Scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scenario %s rules %s\n", s.Name, strings.Join(s.Rules, " "))
	for _, step := range s.Steps {
		b.WriteString(step.String())
	}
	return b.String()
}

// String is the step's part of the script.
func (s *Step) String() string {
	all := strings.Join(s.Lines, "\n") + "\n"
	if s.Pipeline {
		all = "pipeline\n" + all + "end\n"
	}
	if s.Unordered {
		all = "unordered " + all
	}
	return all
}

// ReadDir reads the scripts of a directory, one for each area, named AREA.txt.
func ReadDir(dir string) (map[string][]*Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "[A-Z]*.txt"))
	if err != nil {
		return nil, err
	}
	areas := map[string][]*Scenario{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		area := strings.TrimSuffix(filepath.Base(f), ".txt")
		if areas[area], err = Parse(area, string(b)); err != nil {
			return nil, err
		}
	}
	return areas, nil
}

// Parse reads the script of an area.
func Parse(area, script string) ([]*Scenario, error) {
	p := &parser{area: area}
	for i, line := range strings.Split(script, "\n") {
		p.pos = fmt.Sprintf("%s.txt:%d", area, i+1)
		line = strings.TrimSpace(line)
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("%s: %w", p.pos, err)
		}
		if s := p.now(); s != nil && line != "" && !strings.HasPrefix(line, "#") {
			s.add(line)
		}
	}
	if err := p.finish(); err != nil {
		return nil, fmt.Errorf("%s: %w", p.pos, err)
	}
	return p.all, nil
}

type parser struct {
	area     string
	pos      string
	all      []*Scenario
	comment  []string
	pipeline *Step // being read
}

// now is the scenario being read.
func (p *parser) now() *Scenario {
	if len(p.all) == 0 {
		return nil
	}
	return p.all[len(p.all)-1]
}

func (p *parser) last() *Step {
	if s := p.now(); s != nil && len(s.Steps) > 0 {
		return &s.Steps[len(s.Steps)-1]
	}
	return nil
}

func (p *parser) line(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		p.remember(line)
		return nil
	}
	words, err := split(line)
	if err != nil {
		return err
	}
	comment := strings.Join(p.comment, " ")
	p.comment = nil
	if words[0] == "scenario" {
		return p.scenario(words, comment)
	}
	if p.now() == nil {
		return fmt.Errorf("a script begins with: scenario NAME rules RULE")
	}
	switch words[0] {
	case "global":
		p.now().Global = true
		return nil
	case "given":
		return p.given(words)
	case "differs", "ours", "theirs", "in":
		return p.expectation(line, words)
	case "pipeline":
		p.pipeline = &Step{Pos: p.pos, Pipeline: true}
		return nil
	case "end":
		return p.endPipeline()
	case "unordered":
		return p.unordered(strings.TrimSpace(strings.TrimPrefix(line, "unordered")), words[1:])
	}
	if err := check(line); err != nil {
		return err
	}
	if p.pipeline != nil {
		p.pipeline.Lines = append(p.pipeline.Lines, line)
		return nil
	}
	p.now().Steps = append(p.now().Steps, Step{Pos: p.pos, Lines: []string{line}})
	return nil
}

// remember keeps the comment that directly precedes something.
func (p *parser) remember(line string) {
	if line == "" {
		p.comment = nil
		return
	}
	p.comment = append(p.comment, strings.TrimSpace(strings.TrimLeft(line, "#")))
}

var ruleName = regexp.MustCompile(`^[A-Z]+-\d+$`)

func (p *parser) scenario(words []string, comment string) error {
	if err := p.finish(); err != nil {
		return err
	}
	if len(words) < 4 || words[2] != "rules" {
		return fmt.Errorf("expected: scenario NAME rules RULE")
	}
	s := &Scenario{Area: p.area, Name: words[1], Title: comment, Rules: words[3:], Pos: p.pos}
	for _, r := range s.Rules {
		if !ruleName.MatchString(r) {
			return fmt.Errorf("%q is not the name of a rule", r)
		}
	}
	for _, other := range p.all {
		if other.Name == s.Name {
			return fmt.Errorf("there is another scenario %s", s.Name)
		}
	}
	p.all = append(p.all, s)
	return nil
}

// finish checks the scenario that ends here.
func (p *parser) finish() error {
	if p.pipeline != nil {
		return fmt.Errorf("a pipeline has no end")
	}
	s := p.now()
	if s != nil && len(s.Steps) == 0 {
		return fmt.Errorf("scenario %s has no steps", s.Name)
	}
	return nil
}

func (p *parser) given(words []string) error {
	s := p.now()
	if len(s.Steps) > 0 {
		return fmt.Errorf("what is given comes before the first step")
	}
	if len(words) < 3 {
		return fmt.Errorf("expected: given KIND NAME")
	}
	g := Given{Pos: p.pos, Kind: words[1], Name: words[2], Options: options{}}
	known, ok := givenOptions[g.Kind]
	if !ok {
		return fmt.Errorf("there is no %q to be given", g.Kind)
	}
	var err error
	if g.Options, err = newOptions(words[3:], known); err != nil {
		return err
	}
	s.Givens = append(s.Givens, g)
	return nil
}

// expectation adds to the last step what is expected after it.
func (p *parser) expectation(line string, words []string) error {
	step := p.last()
	if step == nil || p.pipeline != nil {
		return fmt.Errorf("%s follows a step", words[0])
	}
	rest := strings.TrimSpace(strings.TrimPrefix(line, words[0]))
	switch words[0] {
	case "differs":
		reason, err := text(rest)
		step.Differs = reason
		if err == nil && reason == "" {
			err = fmt.Errorf(`expected: differs "REASON"`)
		}
		return err
	case "ours":
		step.Ours = append(step.Ours, rest)
	case "theirs":
		step.Theirs = append(step.Theirs, rest)
	default:
		return step.in(rest, words)
	}
	if step.Differs == "" {
		return fmt.Errorf(`%s follows: differs "REASON"`, words[0])
	}
	return nil
}

// in reads: in 4.0,4.3 ANSWER, or in 4.0 theirs ANSWER, or in 4.0 differs REASON.
func (s *Step) in(rest string, words []string) error {
	if len(words) < 3 {
		return fmt.Errorf("expected: in VERSION,... ANSWER")
	}
	if s.In == nil {
		s.In, s.InTheirs, s.InDiffers = map[string][]string{}, map[string][]string{}, map[string]string{}
	}
	rest = strings.TrimSpace(strings.TrimPrefix(rest, words[1]))
	rest, theirs := strings.CutPrefix(rest, "theirs ")
	for _, v := range strings.Split(words[1], ",") {
		if _, ok := compatOf(v); !ok {
			return fmt.Errorf("there is no version %s", v)
		}
		switch {
		case theirs:
			s.InTheirs[v] = append(s.InTheirs[v], strings.TrimSpace(rest))
		case words[2] == "differs":
			reason, err := text(strings.TrimSpace(strings.TrimPrefix(rest, "differs")))
			if err != nil || reason == "" {
				return fmt.Errorf(`expected: in %s differs "REASON"`, v)
			}
			s.InDiffers[v] = reason
		default:
			s.In[v] = append(s.In[v], rest)
		}
	}
	return nil
}

func (p *parser) endPipeline() error {
	if p.pipeline == nil || len(p.pipeline.Lines) == 0 {
		return fmt.Errorf("there is no pipeline to end")
	}
	p.now().Steps = append(p.now().Steps, *p.pipeline)
	p.pipeline = nil
	return nil
}

func (p *parser) unordered(line string, words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("expected: unordered STEP")
	}
	if err := p.line(line); err != nil {
		return err
	}
	if p.pipeline != nil {
		p.pipeline.Unordered = true
	} else {
		p.last().Unordered = true
	}
	return nil
}
