package simdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrCrashed is what every call returns after a crash.
var ErrCrashed = errors.New("simdisk: the machine has crashed")

// Op names a kind of call.
type Op string

// The calls that can be observed and made to fail.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpPunch    Op = "punch"
	OpRemove   Op = "remove"
	OpRename   Op = "rename"
	OpMkdir    Op = "mkdir"
	OpList     Op = "list"
	OpSyncDir  Op = "syncdir"
	OpLock     Op = "lock"
	OpStat     Op = "stat"
)

// Changes tells whether the call changes what a crash may leave.
func (o Op) Changes() bool {
	switch o {
	case OpOpen, OpRead, OpList, OpLock, OpStat:
		return false
	}
	return true
}

// Call is one call to the disk.
type Call struct {
	Op   Op
	Path string
	Off  int64
	Len  int64
}

// Fault makes calls fail.
type Fault struct {
	// Match picks calls; nil picks all.
	Match func(Call) bool
	// After is the number of the picked call that fails, from 1 on; 0 means each one.
	After int
	// Err is what it fails with. nil means a crash with this call: all later ones fail as well.
	Err error

	seen int
}

// Disk is a simulated disk. It is safe for concurrent use.
type Disk struct {
	// Observe is called before each call, outside of the disk's lock; it may wait. Set it before use.
	Observe func(Call)

	mu       sync.Mutex // guards what follows
	root     *inode
	faults   []*Fault
	dead     bool
	rng      *rand.Rand // for torn writes of failing calls
	capacity int64      // bytes; 0 means no limit
	locks    map[string]bool
}

// New returns an empty disk.
func New(seed uint64) *Disk {
	return &Disk{root: newDir(), rng: rand.New(rand.NewPCG(seed, 0x5eed)), locks: map[string]bool{}}
}

// Inject adds a fault.
func (d *Disk) Inject(f Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, &f)
}

// Heal takes all faults away.
func (d *Disk) Heal() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = nil
}

// SetCapacity limits the bytes that files may take; 0 lifts the limit.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Crashed tells whether the disk has crashed.
func (d *Disk) Crashed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// outcome is what is to become of a call.
type outcome struct {
	err   error
	crash bool // the call is the last before the crash: it may have happened in part
}

// enter begins a call. On return mu is held. When the outcome has an error the call must return it;
// a failing or crashing write leaves what torn says.
func (d *Disk) enter(c Call) outcome {
	if d.Observe != nil {
		d.Observe(c)
	}
	d.mu.Lock()
	if d.dead {
		return outcome{err: ErrCrashed}
	}
	for _, f := range d.faults {
		if f.Match != nil && !f.Match(c) {
			continue
		}
		f.seen++
		if f.After != 0 && f.seen != f.After {
			continue
		}
		if f.Err == nil {
			d.dead = true
			return outcome{ErrCrashed, true}
		}
		return outcome{err: &fs.PathError{Op: string(c.Op), Path: c.Path, Err: f.Err}}
	}
	return outcome{}
}

func clean(name string) string { return strings.Trim(path.Clean("/"+name), "/") }

// find returns the node of a path. The caller holds mu.
func (d *Disk) find(name string) (*inode, error) {
	node := d.root
	if name = clean(name); name == "" {
		return node, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		next := (*inode)(nil)
		if node.isDir {
			next = node.names[part]
		}
		if next == nil {
			return nil, &fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist}
		}
		node = next
	}
	return node, nil
}

// parent returns the directory that holds a path, and the last name. The caller holds mu.
func (d *Disk) parent(name string) (*inode, string, error) {
	name = clean(name)
	dir, err := d.find(path.Dir("/" + name))
	if err == nil && !dir.isDir {
		err = &fs.PathError{Op: "find", Path: name, Err: syscall.ENOTDIR}
	}
	return dir, path.Base(name), err
}

func (d *Disk) file(name string) (*inode, error) {
	node, err := d.find(name)
	if err == nil && node.isDir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	return node, err
}

// create makes a file. When exclusive is set it must not exist, else an existing one loses its name.
func (d *Disk) create(name string, exclusive bool) (*inode, error) {
	out := d.enter(Call{Op: OpCreate, Path: name})
	defer d.mu.Unlock()
	if out.err != nil && !out.crash {
		return nil, out.err
	}
	dir, base, err := d.parent(name)
	if err != nil {
		return nil, errors.Join(out.err, err)
	}
	if dir.names[base] != nil && exclusive {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
	}
	node := &inode{}
	dir.doNames(rename{put: base, node: node})
	return node, out.err
}

func (d *Disk) open(name string) (*inode, error) {
	out := d.enter(Call{Op: OpOpen, Path: name})
	defer d.mu.Unlock()
	if out.err != nil {
		return nil, out.err
	}
	return d.file(name)
}

func (d *Disk) mkdirAll(name string) error {
	out := d.enter(Call{Op: OpMkdir, Path: name})
	defer d.mu.Unlock()
	if out.err != nil && !out.crash {
		return out.err
	}
	node := d.root
	for part := range strings.SplitSeq(clean(name), "/") {
		if part == "" {
			continue
		}
		next := node.names[part]
		if next == nil {
			next = newDir()
			node.doNames(rename{put: part, node: next})
		}
		if !next.isDir {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		node = next
	}
	return out.err
}

func (d *Disk) remove(name string, all bool) error {
	out := d.enter(Call{Op: OpRemove, Path: name})
	defer d.mu.Unlock()
	if out.err != nil && !out.crash {
		return out.err
	}
	dir, base, err := d.parent(name)
	if err != nil {
		if all {
			return out.err
		}
		return err
	}
	node := dir.names[base]
	switch {
	case node == nil && all:
		return out.err
	case node == nil:
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	case node.isDir && len(node.names) > 0 && !all:
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	dir.doNames(rename{cut: base})
	return out.err
}

func (d *Disk) rename(from, to string) error {
	out := d.enter(Call{Op: OpRename, Path: from})
	defer d.mu.Unlock()
	if out.err != nil && !out.crash {
		return out.err
	}
	fromDir, fromBase, err := d.parent(from)
	if err != nil {
		return err
	}
	toDir, toBase, err := d.parent(to)
	if err != nil {
		return err
	}
	node := fromDir.names[fromBase]
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	if fromDir == toDir {
		fromDir.doNames(rename{put: toBase, node: node, cut: fromBase})
		return out.err
	}
	toDir.doNames(rename{put: toBase, node: node})
	fromDir.doNames(rename{cut: fromBase})
	return out.err
}

func (d *Disk) link(from, to string) error {
	out := d.enter(Call{Op: OpCreate, Path: to})
	defer d.mu.Unlock()
	if out.err != nil && !out.crash {
		return out.err
	}
	node, err := d.file(from)
	if err != nil {
		return err
	}
	dir, base, err := d.parent(to)
	if err != nil {
		return err
	}
	if dir.names[base] != nil {
		return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
	}
	dir.doNames(rename{put: base, node: node})
	return out.err
}

func (d *Disk) list(name string) ([]string, error) {
	out := d.enter(Call{Op: OpList, Path: name})
	defer d.mu.Unlock()
	if out.err != nil {
		return nil, out.err
	}
	node, err := d.find(name)
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range node.names {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, nil
}

func (d *Disk) syncDir(name string) error {
	out := d.enter(Call{Op: OpSyncDir, Path: name})
	defer d.mu.Unlock()
	if out.err != nil {
		return out.err
	}
	node, err := d.find(name)
	if err == nil {
		node.sync()
	}
	return err
}

// space returns the free and total bytes.
func (d *Disk) space() (free, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity == 0 {
		return 1 << 40, 1 << 40
	}
	return max(d.capacity-d.used()*pageBytes, 0), d.capacity
}

// used returns the pages that all files with a name take. The caller holds mu.
func (d *Disk) used() (n int64) {
	seen := map[*inode]bool{}
	var walk func(*inode)
	walk = func(i *inode) {
		if seen[i] {
			return
		}
		seen[i] = true
		n += i.now.pages()
		for _, child := range i.names {
			walk(child)
		}
	}
	walk(d.root)
	return n
}

// lock takes a lock that ends with the returned function, or with the disk.
func (d *Disk) lock(name string) (unlock func(), err error) {
	out := d.enter(Call{Op: OpLock, Path: name})
	defer d.mu.Unlock()
	if out.err != nil {
		return nil, out.err
	}
	name = clean(name)
	if d.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, syscall.EWOULDBLOCK)
	}
	dir, base, err := d.parent(name)
	if err != nil {
		return nil, err
	}
	if dir.names[base] == nil {
		dir.doNames(rename{put: base, node: &inode{}})
	}
	d.locks[name] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.locks, name)
	}, nil
}
