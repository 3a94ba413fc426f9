package audit

import (
	"bufio"
	"context"
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

// VerifyOptions says what is to be verified.
type VerifyOptions struct {
	// Paths are files of logs, or directories that hold some.
	Paths []string
	// Checkpoints are files of checkpoints that other peers keep, or directories of them. Those in the
	// directory CheckpointDir of a directory in Paths are taken as well.
	Checkpoints []string
	// Writer is the peer ID of which logs must be found; "" takes whatever there is.
	Writer string
	// Partial says that Paths are not all files of the log: what lies before and behind may be missing.
	Partial bool
	// KeyOf finds the key of a peer ID. Required.
	KeyOf KeyOf
}

// CheckpointDir is the directory of checkpoints beside the files of a log.
const CheckpointDir = "checkpoints"

// Kind says what is wrong.
type Kind string

// What can be wrong.
const (
	Changed   Kind = "changed"   // a record is not the one that the next one follows on
	Removed   Kind = "removed"   // records are missing between others
	Reordered Kind = "reordered" // a record stands behind a later one
	Inserted  Kind = "inserted"  // there are two records with one number, or one where none belongs
	CutOff    Kind = "cut"       // records are missing at an end
	Rewritten Kind = "rewritten" // the chain is whole, and is not the one that a checkpoint speaks of
	Forged    Kind = "forged"    // a checkpoint is not the writer's, or contradicts another
	Strange   Kind = "strange"   // a file does not belong to the log
)

// Finding is something that neither the log nor a crash does.
type Finding struct {
	Kind Kind   `json:"kind"`
	File string `json:"file,omitempty"`
	Line int64  `json:"line,omitempty"` // from 1
	Seq  uint64 `json:"seq,omitempty"`
	Text string `json:"text"`
}

// Chain is what was found of one chain.
type Chain struct {
	Writer  string `json:"writer"`
	Log     string `json:"log"`
	Chain   string `json:"chain"`
	Files   int    `json:"files"`
	Records int64  `json:"records"`
	First   uint64 `json:"first"` // number of the first record
	Last    uint64 `json:"last"`
	// Pruned is the number of the last record that the log has removed by itself, 0 when it has not.
	Pruned uint64 `json:"pruned,omitempty"`
	// Checkpoints are those that agree; Attested is the last record that one of them speaks of.
	Checkpoints int       `json:"checkpoints"`
	Attested    uint64    `json:"attested"`
	AttestedAt  time.Time `json:"attested_at,omitzero"`
	// Foreign is the same for those that were given apart from the log, as other peers keep them.
	Foreign uint64 `json:"foreign"`
	Crashes int64  `json:"crashes"` // after which the process has begun again
	Torn    int64  `json:"torn"`    // bytes of records that crashes broke off
	Shed    int64  `json:"shed"`    // requests without a record, since the disk took none
	// Open are acts that were begun and of which no outcome is on record: under way, or to be resolved by the next start.
	Open int64 `json:"open,omitempty"`
	// Unfinished are bytes at the end that are no record yet: of a crash, or of a process that is writing.
	Unfinished int64     `json:"unfinished,omitempty"`
	Findings   []Finding `json:"findings,omitempty"`
	More       int64     `json:"more,omitempty"` // findings left out
}

// Report is what a verification has found.
type Report struct {
	Chains   []Chain   `json:"chains"`
	Findings []Finding `json:"findings,omitempty"` // that belong to no chain
}

// Whole says that nothing is wrong.
func (r *Report) Whole() bool {
	return len(r.Findings) == 0 && !slices.ContainsFunc(r.Chains, func(c Chain) bool { return len(c.Findings) > 0 })
}

// findingsMax bounds the findings of a chain.
const findingsMax = 100

// logFile is a file of a log.
type logFile struct {
	path string
	head line
	control
}

// errMoved says that files were closed or removed while they were read.
var errMoved = errors.New("the files of the log change too fast to be read")

// verifyTries is how often reading begins anew because a log that is being written has moved on.
const verifyTries = 10

// Verify reads logs and says what is wrong with them. It needs no more than the files, and memory for a line
// and for the checkpoints. The logs may be written meanwhile. An error says that they could not be read.
func Verify(ctx context.Context, o *VerifyOptions) (*Report, error) {
	for range verifyTries {
		r, err := verify(ctx, o)
		if !errors.Is(err, errMoved) {
			return r, err
		}
	}
	return nil, errMoved
}

func verify(ctx context.Context, o *VerifyOptions) (*Report, error) {
	r := new(Report)
	// Checkpoints are read first: whatever they speak of was in the files before.
	known := newCheckpoints(o.KeyOf, r)
	files, err := known.load(o)
	if err != nil {
		return nil, err
	}
	chains := make(map[chainName][]logFile)
	for _, path := range files {
		f, err := openHead(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errMoved
		}
		if errors.Is(err, errLine) {
			r.Findings = append(r.Findings, Finding{Kind: Strange, File: path, Line: 1, Text: "the first line is not the record that begins a file"})
			continue
		}
		if err != nil {
			return nil, err
		}
		name := chainName{f.Writer, f.Log, f.Chain}
		chains[name] = append(chains[name], f)
	}
	names := sortedNames(chains)
	for _, name := range names {
		w := walker{Chain: Chain{Writer: name.writer, Log: name.log, Chain: name.chain}, points: known.of(name), partial: o.Partial}
		if err := w.walk(ctx, chains[name]); err != nil {
			return nil, err
		}
		r.Chains = append(r.Chains, w.Chain)
	}
	r.missing(o, known, names)
	return r, nil
}

func openHead(path string) (logFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return logFile{}, err
	}
	defer f.Close()
	l, c, err := parseHead(f)
	return logFile{path, l, c}, err
}

// chainName names a chain.
type chainName struct{ writer, log, chain string }

func (n chainName) compare(m chainName) int {
	return strings.Compare(n.writer+" "+n.log+" "+n.chain, m.writer+" "+m.log+" "+m.chain)
}

func sortedNames[V any](m map[chainName]V) []chainName {
	names := make([]chainName, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.SortFunc(names, chainName.compare)
	return names
}

// missing looks for chains that should be there.
func (r *Report) missing(o *VerifyOptions, known *checkpoints, names []chainName) {
	strange := func(kind Kind, format string, args ...any) {
		r.Findings = append(r.Findings, Finding{Kind: kind, Text: fmt.Sprintf(format, args...)})
	}
	logs := make(map[[2]string]int)
	found := o.Writer == ""
	for _, n := range names {
		logs[[2]string{n.writer, n.log}]++
		found = found || n.writer == o.Writer
		if o.Writer != "" && n.writer != o.Writer {
			strange(Strange, "there is a %s log of %s, which is not the writer asked for", n.log, n.writer)
		}
	}
	if !found {
		strange(CutOff, "there is no log of %s", o.Writer)
	}
	for _, name := range sortedNames(known.chains) {
		if slices.Contains(names, name) || o.Partial || logs[[2]string{name.writer, name.log}] == 0 && name.writer != o.Writer {
			continue
		}
		points := known.chains[name]
		last := points[len(points)-1]
		strange(CutOff, "the chain %s of the %s log of %s is missing; its record %d was written by %s", name.chain, name.log, name.writer,
			last.seq, last.time.UTC().Format(time.RFC3339))
	}
	if !o.Partial {
		for log, count := range logs {
			if count > 1 {
				strange(CutOff, "the %s log of %s has %d chains: it was begun anew, and nothing shows that the earlier ones are whole", log[1], log[0], count)
			}
		}
	}
	for log := range logs {
		if len(o.Checkpoints) > 0 && !known.foreign[log] {
			strange(CutOff, "none of the checkpoints given speaks of the %s log of %s", log[1], log[0])
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return strings.Compare(a.Text, b.Text) })
}

// find adds a finding.
func (c *Chain) find(f Finding) {
	if len(c.Findings) >= findingsMax {
		c.More++
		return
	}
	c.Findings = append(c.Findings, f)
}

// listLogs lists the files of logs in a directory.
func listLogs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), fileSuffix) && !e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// lineReader reads lines of bounded length.
type lineReader struct {
	r    *bufio.Reader
	text []byte // the line without its end; of a longer one the beginning
	raw  int64  // bytes read for it
	long bool
	open bool // the file ended before the line did
}

// next reads a line. io.EOF when there is none.
func (l *lineReader) next() error {
	l.text, l.raw, l.long, l.open = l.text[:0], 0, false, false
	for {
		piece, err := l.r.ReadSlice('\n')
		l.raw += int64(len(piece))
		if len(l.text)+len(piece) > lineBytesMax {
			l.long = true
		} else {
			l.text = append(l.text, piece...)
		}
		switch {
		case err == nil:
			if !l.long {
				l.text = l.text[:len(l.text)-1]
			}
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && l.raw > 0:
			l.open = true
			return nil
		default:
			return err
		}
	}
}
