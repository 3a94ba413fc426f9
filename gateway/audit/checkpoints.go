package audit

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// point is a checkpoint of a chain.
type point struct {
	position
	time    time.Time
	foreign bool // it was given apart from the log
	seen    bool // its record was met
}

// pointsMax bounds the checkpoints that a verification takes.
const pointsMax = 1_000_000

// checkpoints are those that a verification knows.
type checkpoints struct {
	keyOf   KeyOf
	report  *Report
	chains  map[chainName][]point
	foreign map[[2]string]bool // writers and logs of which some were given apart
	names   map[string]string  // so that equal texts share memory
	count   int
}

func newCheckpoints(keyOf KeyOf, r *Report) *checkpoints {
	return &checkpoints{keyOf: keyOf, report: r, chains: make(map[chainName][]point), foreign: make(map[[2]string]bool), names: make(map[string]string)}
}

// load reads all checkpoints, and lists the files of the logs.
func (k *checkpoints) load(o *VerifyOptions) (files []string, err error) {
	for _, path := range o.Checkpoints {
		if err := k.read(path, true, 0); err != nil {
			return nil, err
		}
	}
	for _, path := range o.Paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		if err := k.read(filepath.Join(path, CheckpointDir), false, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		inside, err := listLogs(path)
		if err != nil {
			return nil, err
		}
		files = append(files, inside...)
	}
	for _, points := range k.chains {
		slices.SortStableFunc(points, func(a, b point) int { return cmp.Compare(a.seq, b.seq) })
	}
	k.contradictions()
	return files, nil
}

// read reads a file of checkpoints, or those of a directory.
func (k *checkpoints) read(path string, foreign bool, depth int) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() && depth == 0 {
		paths, err := listLogs(path)
		for _, p := range paths {
			err = errors.Join(err, k.read(p, foreign, depth+1))
		}
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := lineReader{r: bufio.NewReader(f)}
	for n := int64(1); ; n++ {
		if err := r.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if r.open {
			return nil // what a crash has left
		}
		if err := k.add(r.text, foreign); err != nil {
			k.report.Findings = append(k.report.Findings, Finding{Kind: Forged, File: path, Line: n, Text: err.Error()})
			if len(k.report.Findings) > findingsMax {
				return nil
			}
		}
		if k.count > pointsMax {
			return fmt.Errorf("there are more than %d checkpoints; give those of fewer peers", pointsMax)
		}
	}
}

func (k *checkpoints) add(text []byte, foreign bool) error {
	c, err := ParseCheckpoint(text)
	if err != nil {
		return fmt.Errorf("the line %w", err)
	}
	if err := c.Check(k.keyOf); err != nil {
		return err
	}
	for _, s := range []*string{&c.Writer, &c.Log, &c.Chain} {
		if same, ok := k.names[*s]; ok {
			*s = same
		} else {
			k.names[*s] = *s
		}
	}
	h, _ := parseHash(c.Hash)
	name := chainName{c.Writer, c.Log, c.Chain}
	k.chains[name] = append(k.chains[name], point{position: position{c.Seq, h}, time: c.Time, foreign: foreign})
	k.count++
	if foreign {
		k.foreign[[2]string{c.Writer, c.Log}] = true
	}
	return nil
}

func (k *checkpoints) of(name chainName) []point { return k.chains[name] }

// contradictions looks for records of which a writer has signed two.
func (k *checkpoints) contradictions() {
	for _, name := range sortedNames(k.chains) {
		points := k.chains[name]
		for i := 1; i < len(points); i++ {
			if points[i].seq == points[i-1].seq && points[i].hash != points[i-1].hash {
				k.report.Findings = append(k.report.Findings, Finding{Kind: Rewritten, Seq: points[i].seq, Text: fmt.Sprintf(
					"%s has signed two different records %d of its %s log", name.writer, points[i].seq, name.log)})
				break
			}
		}
	}
}

// checkpointFile is the name of the file that holds the checkpoints of a log.
func checkpointFile(writer, log string) string { return writer + "." + log + fileSuffix }

// splitCheckpointFile reads such a name.
func splitCheckpointFile(name string) (writer, log string, ok bool) {
	bare, is := strings.CutSuffix(name, fileSuffix)
	writer, log, ok = strings.Cut(bare, ".")
	return writer, log, ok && is && safeName(writer) && safeName(log)
}
