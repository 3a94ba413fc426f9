package audit

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"time"
)

// walker goes along a chain.
type walker struct {
	Chain
	points  []point // checkpoints in the order of their numbers
	partial bool

	begun bool
	head  position // before the first record
	last  line
	ended bool // the last record is a stop
	gaps  []gap

	file   string
	reader io.ReaderAt
	line   int64
	offset int64 // of the line's begin
	torn   torn

	intents openIntents
}

// gap is records that are missing so far, and the finding that says so.
type gap struct {
	from, to uint64
	finding  int
}

// torn is lines that are no records.
type torn struct {
	line  int64 // the first of them; 0: none
	from  int64 // where it begins
	bytes int64
}

// walk reads the files of a chain.
func (w *walker) walk(ctx context.Context, files []logFile) error {
	slices.SortStableFunc(files, func(a, b logFile) int {
		switch {
		case a.head.seq != b.head.seq:
			return map[bool]int{true: -1, false: 1}[a.head.seq < b.head.seq]
		default:
			return 0
		}
	})
	w.Files = len(files)
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.read(f, i == len(files)-1); err != nil {
			return err
		}
	}
	w.close()
	w.Open = int64(len(w.intents.open))
	return nil
}

func (w *walker) read(f logFile, lastFile bool) error {
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errMoved
	}
	if err != nil {
		return err
	}
	defer file.Close()
	w.file, w.reader, w.line, w.offset, w.torn = f.path, file, 0, 0, torn{}
	r := lineReader{r: bufio.NewReaderSize(file, 256<<10)}
	for ; ; w.offset += r.raw {
		err := r.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
		w.line++
		l, err := parseLine(r.text)
		if w.line == 1 && (err != nil || l.position != f.head.position) {
			return errMoved
		}
		if err != nil || r.long || r.open && !json.Valid(r.text) {
			if w.torn.line == 0 {
				w.torn = torn{line: w.line, from: w.offset}
			}
			w.torn.bytes += r.raw
			continue
		}
		if err := w.take(&l, r.text); err != nil {
			return fmt.Errorf("%s: %w", f.path, err)
		}
	}
	if w.torn.line > 0 {
		if lastFile {
			w.Unfinished = w.torn.bytes
		} else {
			w.notRecord()
		}
	}
	return nil
}

// notRecord reports the torn lines as what no crash leaves.
func (w *walker) notRecord() {
	w.find(Finding{Kind: Changed, File: w.file, Line: w.torn.line, Seq: w.last.seq + 1,
		Text: fmt.Sprintf("%d bytes behind record %d are no record, and no crash is recorded behind them", w.torn.bytes, w.last.seq)})
}

// take takes a record.
func (w *walker) take(l *line, text []byte) error {
	w.Records++
	var c control
	switch l.event {
	case eventFile, eventStart, eventStop, eventCrash, eventShed, eventPruned:
		var err error
		if c, err = l.control(text); err != nil {
			w.at(Changed, l, "record %d is not JSON", l.seq)
		}
	default:
		if w.intents.take(l.event, text) != nil {
			w.at(Changed, l, "record %d is not JSON", l.seq)
		}
	}
	if err := w.checkTorn(l, &c); err != nil {
		return err
	}
	w.follow(l)
	w.compare(l)
	w.ended = l.event == eventStop
	switch l.event {
	case eventFile:
		if w.line != 1 {
			w.at(Inserted, l, "record %d begins a file and stands within one", l.seq)
		}
	case eventStart:
		if c.After == afterCrash {
			w.Crashes++
		}
	case eventShed:
		w.Shed += c.Records
	case eventPruned:
		if c.ThroughSeq == w.head.seq && c.ThroughHash == w.head.hash.String() {
			w.Pruned = c.ThroughSeq
		}
	}
	return nil
}

// checkTorn holds torn lines and the record of a crash against each other.
func (w *walker) checkTorn(l *line, c *control) error {
	gone := w.torn
	w.torn = torn{}
	if l.event != eventCrash {
		if gone.line > 0 {
			w.torn = gone
			w.notRecord()
			w.torn = torn{}
		}
		return nil
	}
	if gone.line == 0 {
		w.at(Changed, l, "record %d tells of a crash, and what it broke off is not there", l.seq)
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(w.reader, gone.from, gone.bytes)); err != nil {
		return err
	}
	if c.TornBytes != gone.bytes || c.TornHash != hash(sum.Sum(nil)).String() {
		w.at(Changed, l, "what stands before record %d is not what the crash broke off", l.seq)
	}
	w.Torn += gone.bytes
	return nil
}

func (w *walker) at(kind Kind, l *line, format string, args ...any) {
	w.find(Finding{Kind: kind, File: w.file, Line: w.line, Seq: l.seq, Text: fmt.Sprintf(format, args...)})
}

// follow checks that a record follows on the last one.
func (w *walker) follow(l *line) {
	last := w.last
	switch {
	case !w.begun:
		w.begun, w.First = true, l.seq
		w.head = position{l.seq - 1, l.prev}
		if l.seq == 1 && l.prev != (hash{}) {
			w.at(Changed, l, "the first record follows on another one")
		}
	case l.seq == last.seq+1 && l.prev == last.hash:
	case l.seq == last.seq+1:
		w.at(Changed, l, "record %d is not the one that record %d follows on", last.seq, l.seq)
	case l.seq == last.seq && l.prev == last.prev:
		w.at(Inserted, l, "there are two records %d", l.seq)
	case l.seq > last.seq && l.prev == last.hash:
		w.at(Changed, l, "record %d follows on record %d", l.seq, last.seq)
	case l.seq > last.seq:
		w.gaps = append(w.gaps, gap{last.seq + 1, l.seq - 1, len(w.Findings)})
		w.at(Removed, l, "records %d to %d are missing", last.seq+1, l.seq-1)
	default:
		w.behind(l)
		return // the chain goes on behind the record before
	}
	w.last, w.Last = *l, max(w.Last, l.seq)
}

// behind reports a record that stands behind a later one.
func (w *walker) behind(l *line) {
	for i, g := range w.gaps {
		if l.seq < g.from || l.seq > g.to {
			continue
		}
		w.at(Reordered, l, "record %d stands behind record %d", l.seq, w.last.seq)
		if g.from == g.to && g.finding < len(w.Findings) { // it is not missing
			w.Findings = slices.Delete(w.Findings, g.finding, g.finding+1)
			w.gaps = slices.Delete(w.gaps, i, i+1)
			for k := range w.gaps {
				if w.gaps[k].finding > g.finding {
					w.gaps[k].finding--
				}
			}
		}
		return
	}
	w.at(Inserted, l, "a record %d stands behind record %d, and is there already", l.seq, w.last.seq)
}

// compare holds a record against the checkpoints that speak of it.
func (w *walker) compare(l *line) {
	i := sort.Search(len(w.points), func(i int) bool { return w.points[i].seq >= l.seq })
	for ; i < len(w.points) && w.points[i].seq == l.seq; i++ {
		p := &w.points[i]
		p.seen = true
		if p.hash != l.hash {
			w.at(Rewritten, l, "record %d is not the one of which the writer said by %s that it was there: something in records %d to %d was rewritten",
				l.seq, p.time.UTC().Format(time.RFC3339), w.Attested+1, l.seq)
			continue
		}
		w.Checkpoints++
		if l.seq >= w.Attested {
			w.Attested, w.AttestedAt = l.seq, p.time
		}
		if p.foreign {
			w.Foreign = max(w.Foreign, l.seq)
		}
	}
}

// close looks at the ends of the chain.
func (w *walker) close() {
	for i := range w.points {
		p := &w.points[i]
		switch {
		case p.seen:
		case p.seq == w.head.seq && p.hash != w.head.hash && w.begun:
			w.find(Finding{Kind: Rewritten, Seq: p.seq, Text: fmt.Sprintf("the first record follows on another record %d than the writer had", p.seq)})
		case p.seq > w.Last && !w.partial:
			rest := w.points[len(w.points)-1]
			w.find(Finding{Kind: CutOff, Seq: w.Last + 1, Text: fmt.Sprintf("records %d to %d are missing at the end; the last of them was written by %s",
				w.Last+1, rest.seq, rest.time.UTC().Format(time.RFC3339))})
			return
		}
	}
	if w.First > 1 && w.Pruned != w.First-1 && !w.partial {
		w.find(Finding{Kind: CutOff, Seq: w.First, Text: fmt.Sprintf("records 1 to %d are missing, and the log has not removed them", w.First-1)})
	}
}
