package controller

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shoal/chunker/erasure"
	"shoal/node/consensus"
)

var update = flag.Bool("update", false, "rewrite the golden scripts")

// TestScripts runs testdata/*.txt: lines that begin with "> " are commands, the others what they print.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s prints something else:\n%s", file, got)
			}
		})
	}
}

// script is a simulated cluster under a controller that acts at once.
type script struct {
	*sim
	core  *Core
	out   strings.Builder
	begun time.Time
	mute  bool // actions are decided and never done
	fail  bool // actions fail
}

func runScript(t *testing.T, text string) string {
	s := &script{core: NewCore(Config{})}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			fmt.Fprintln(&s.out, line)
			continue
		}
		if cmd, ok := strings.CutPrefix(line, "> "); ok {
			fmt.Fprintln(&s.out, line)
			s.command(t, strings.Fields(cmd))
		}
		if s.sim != nil && len(s.broken) > 0 {
			t.Fatalf("after %q: %v", line, s.broken)
		}
	}
	return s.out.String()
}

func number(t *testing.T, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// command runs one command.
func (s *script) command(t *testing.T, f []string) {
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	node := consensus.NodeID(arg(1))
	switch f[0] {
	case "groups":
		s.sim = newSim(number(t, f[1]))
		s.begun = s.now
	case "node": // name, site, drives
		s.addNode(f[1], f[2], number(t, f[3]))
	case "tick":
		for range number(t, f[1]) {
			s.tick()
		}
	case "run":
		s.run(t)
	case "wait": // seconds without a controller
		for range number(t, f[1]) {
			s.pass()
		}
	case "die":
		s.setLiveness(node, Dead)
	case "suspect":
		s.setLiveness(node, Suspect)
	case "live":
		s.setLiveness(node, Alive)
	case "drain":
		s.member(node).State = Draining
	case "activate":
		s.member(node).State = Active
	case "lost":
		s.member(node).State = Lost
	case "site": // of a group
		s.groups[number(t, f[1])].site = f[2]
	case "calls": // for a group: by nodes, how many
		g := s.groups[number(t, f[1])]
		g.callers = nil
		for i := 2; i+1 < len(f); i += 2 {
			g.callers = append(g.callers, consensus.Caller{Node: consensus.NodeID(f[i]), Requests: uint64(number(t, f[i+1]))})
		}
	case "bind": // site, groups
		s.bind(f[1], number(t, f[2]))
	case "survives":
		s.settings.Survives = strings.Join(f[1:], " ")
	case "erasure":
		p, err := erasure.ParseProfile(f[1])
		if err != nil {
			t.Fatal(err)
		}
		s.settings.Erasure = p
	case "break": // the replica of a group on a node
		g := s.groups[number(t, f[2])]
		g.brokenID = g.held[node]
	case "voters":
		s.settings.Voters = number(t, f[1])
	case "restart":
		s.core = NewCore(Config{})
	case "mute":
		s.mute = f[1] == "on"
	case "fail":
		s.fail = f[1] == "on"
	case "show":
		s.show()
	default:
		t.Fatalf("unknown command %q", f)
	}
}

// tick runs the controller and then lets a second pass. It says whether anything was done.
func (s *script) tick() bool {
	defer s.pass()
	if !s.led() {
		return false
	}
	plan := s.core.Step(s.now, s.snapshot())
	printed := false
	for _, a := range plan.Actions {
		if s.mute {
			fmt.Fprintf(&s.out, "%v: begins to %v\n", s.now.Sub(s.begun), a)
			continue
		}
		err := errSim
		if !s.fail {
			err = s.apply(a)
		}
		s.core.Done(s.now, a, err)
		if _, ok := a.(PublishGroup); ok && err == nil {
			continue
		}
		printed = true
		fmt.Fprintf(&s.out, "%v: %v", s.now.Sub(s.begun), a)
		if err != nil {
			fmt.Fprintf(&s.out, ": %v", err)
		}
		fmt.Fprintln(&s.out)
	}
	return printed
}

// run ticks until nothing has been done for a while.
func (s *script) run(t *testing.T) {
	quiet := 0
	for i := 0; quiet < 8; i++ {
		if i == 1000 {
			t.Fatalf("the controller does not come to rest:\n%s", s.out.String())
		}
		quiet++
		if s.tick() {
			quiet = 0
		}
	}
}

func (s *script) show() {
	for _, g := range s.groups {
		if g.gone {
			continue
		}
		fmt.Fprintf(&s.out, "group %d: leader %s, voters %v", g.id, g.leader.Node, sortedNodes(g.voters))
		if len(g.learners) > 0 {
			fmt.Fprintf(&s.out, ", learners %v", sortedNodes(g.learners))
		}
		fmt.Fprintln(&s.out)
	}
	if p := s.placement; p.Current.Table != nil {
		fmt.Fprintf(&s.out, "placement: epoch %d, %v", p.Epoch, p.Current.Profile)
		drives := p.Current.Table.Drives()
		on := map[string]int{}
		for _, d := range drives {
			on[d.Node]++
		}
		fmt.Fprintf(&s.out, ", drives %v, others %d\n", on, len(p.Others))
		for _, c := range p.Others {
			if c.Table.Folded() {
				fmt.Fprintf(&s.out, "chunks of %d shards: folded on %d drives\n", c.Table.Width(), len(c.Table.Drives()))
			}
		}
		for _, at := range p.Sites {
			fmt.Fprintf(&s.out, "placement in %s: %v on %d drives\n", at.Site, at.Current.Profile, len(at.Current.Table.Drives()))
		}
	}
	plan := NewCore(Config{}).Step(s.now, s.snapshot())
	for _, g := range plan.Groups {
		if g.Note != "" {
			fmt.Fprintf(&s.out, "group %d: %s\n", g.ID, g.Note)
		}
	}
	for _, n := range plan.Notes {
		fmt.Fprintf(&s.out, "note: %s\n", n)
	}
	for _, m := range s.members {
		if m.State != Active || m.Liveness != Alive {
			fmt.Fprintf(&s.out, "member %s: state %d, liveness %d\n", m.Node, m.State, m.Liveness)
		}
	}
}

func sortedNodes(rs []Replica) []consensus.NodeID { return slices.Sorted(slices.Values(nodesOf(rs))) }
