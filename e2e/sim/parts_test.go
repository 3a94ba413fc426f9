package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// The randomness that cryptography takes belongs to the process, so that seeds which run at the same time need processes of their own.

// partVariable is set in the environment of a process that runs a part of the seeds.
const partVariable = "SHOAL_SIM_PART"

// countsPrefix is what the line begins with in which a part tells what it has counted.
const countsPrefix = "counts of a part: "

// inParts runs seeds in several processes, and adds up what they have counted.
func inParts(t *testing.T, from, n, procs uint64) map[string]int {
	type outcome struct {
		out []byte
		err error
	}
	outcomes := make(chan outcome)
	for i := range procs {
		first, end := from+i*n/procs, from+(i+1)*n/procs
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSimulation$", "-test.v", "-test.timeout=0")
		cmd.Env = append(os.Environ(), partVariable+"=1", fmt.Sprintf("SHOAL_SIM_FROM=%d", first), fmt.Sprintf("SHOAL_SIM_SEEDS=%d", end-first))
		go func() {
			out, err := cmd.CombinedOutput()
			outcomes <- outcome{out, err}
		}()
	}
	total := map[string]int{}
	for range procs {
		o := <-outcomes
		if o.err != nil {
			t.Errorf("%v:\n%s", o.err, o.out)
			continue
		}
		for k, v := range told(t, o.out) {
			total[k] += v
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return total
}

// tell writes what a part has counted.
func tell(t *testing.T, counts map[string]int) {
	b, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s%s\n", countsPrefix, b)
}

// told reads what a part has counted.
func told(t *testing.T, out []byte) (counts map[string]int) {
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if b, ok := bytes.CutPrefix(s.Bytes(), []byte(countsPrefix)); ok {
			if err := json.Unmarshal(b, &counts); err != nil {
				t.Fatal(err)
			}
		}
	}
	if counts == nil {
		t.Fatalf("a part does not tell what it has counted:\n%s", out)
	}
	return counts
}
