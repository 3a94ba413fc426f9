package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	envPrefix      = "SHOAL_"
	configFile     = "shoal.toml" // in the working directory, read when it is there
	configFlag     = "config"
	configMaxBytes = 1 << 20
)

// loader collects the settings of one command: defaults, file, environment, flags, each
// over the one before it.
type loader struct {
	env   environment
	part  part
	s     settings
	all   *pflag.FlagSet
	file  string
	fixed map[string]bool // keys whose value a stronger source has set
}

// newLoader adds to cmd the flags of the part that it starts, and --config.
func newLoader(env environment, cmd *cobra.Command, p part) *loader {
	l := &loader{env: env, part: p, fixed: make(map[string]bool)}
	l.all = flagSet(&l.s)
	flags := cmd.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&l.file, configFlag, "", "configuration `file`; empty is "+configFile+" when there is one")
	for _, k := range keys {
		if k.parts&p != 0 {
			flags.AddFlag(l.all.Lookup(k.name))
		}
	}
	return l
}

// load resolves the settings after the command line was parsed. It reports every
// problem of file, environment and values at once.
func (l *loader) load() (*settings, error) {
	l.all.VisitAll(func(f *pflag.Flag) { l.fixed[f.Name] = f.Changed })
	envFile, errs := l.loadEnv()
	if l.file == "" {
		l.file = envFile
	}
	errs = append(errs, l.loadFile()...)
	if err := l.s.validate(l.part); err != nil {
		errs = append(errs, err)
	}
	return &l.s, errors.Join(errs...)
}

// loadEnv applies SHOAL_* variables and gives the value of SHOAL_CONFIG.
func (l *loader) loadEnv() (file string, errs []error) {
	for _, v := range l.env.vars {
		name, value, _ := strings.Cut(v, "=")
		bare, ok := strings.CutPrefix(name, envPrefix)
		if !ok || name == passphraseVariable || name == clockVariable {
			continue
		}
		k := strings.ReplaceAll(strings.ToLower(bare), "_", "-")
		switch flag := l.all.Lookup(k); {
		case k == configFlag:
			file = value
		case flag == nil || name != envName(k):
			errs = append(errs, fmt.Errorf("variable %s is not known; did you mean %s?", name, envName(nearestKey(k))))
		default:
			errs = append(errs, l.set(flag, splitEnv(flag, value), name)...)
		}
	}
	return file, errs
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

func splitEnv(flag *pflag.Flag, value string) []string {
	if _, ok := flag.Value.(*list); ok {
		return strings.Split(value, ",")
	}
	return []string{value}
}

// set gives a flag its value unless a stronger source did so.
func (l *loader) set(flag *pflag.Flag, values []string, source string) (errs []error) {
	if l.fixed[flag.Name] {
		return nil
	}
	l.fixed[flag.Name] = true
	for _, v := range values {
		if err := flag.Value.Set(v); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q: %w", source, v, err))
		}
	}
	return errs
}

// loadFile applies the configuration file. One that was not asked for may be absent.
func (l *loader) loadFile() []error {
	path := l.file
	if path == "" {
		path = configFile
	}
	if info, err := os.Stat(path); err == nil && info.Size() > configMaxBytes {
		return []error{fmt.Errorf("%s is larger than %s", path, formatExact(configMaxBytes))}
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && l.file == "" {
		return nil
	}
	if err != nil {
		return []error{fmt.Errorf("read configuration: %w", err)}
	}
	var table map[string]any
	if err := toml.Unmarshal(text, &table); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return []error{fmt.Errorf("%s:%d:%d: %w", path, row, column, err)}
		}
		return []error{fmt.Errorf("%s: %w", path, err)}
	}
	return l.apply(path, table)
}

// apply sets the keys of a table of the file in the order of their names.
func (l *loader) apply(path string, table map[string]any) (errs []error) {
	for _, name := range sortedKeys(table) {
		if name == auditTable {
			errs = append(errs, l.applyAudit(path, table[name])...)
			continue
		}
		source := path + ": " + name
		flag := l.all.Lookup(name)
		if flag == nil {
			errs = append(errs, fmt.Errorf("%s is not a known key; did you mean %s?", source, nearestKey(name)))
			continue
		}
		values, err := scalars(flag, table[name])
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", source, err))
			continue
		}
		errs = append(errs, l.set(flag, values, source)...)
	}
	return errs
}

func sortedKeys(table map[string]any) []string { return slices.Sorted(maps.Keys(table)) }

// scalars writes a value of the file as a flag would be given.
func scalars(flag *pflag.Flag, value any) ([]string, error) {
	_, many := flag.Value.(*list)
	switch v := value.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		if !many {
			return nil, errors.New("takes one value, not a list")
		}
		var out []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, errors.New("takes a list of strings")
			}
			out = append(out, text)
		}
		return out, nil
	default:
		return nil, fmt.Errorf("takes a value of the kind %s", flag.Value.Type())
	}
}

// nearestKey names the known key that takes the fewest edits to reach from name.
func nearestKey(name string) string {
	names := []string{configFlag}
	for _, k := range keys {
		names = append(names, k.name)
	}
	return nearest(name, names)
}

// editDistance counts the insertions, deletions and substitutions of bytes between a
// and b. Names longer than 64 bytes are cut, which bounds the work.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
