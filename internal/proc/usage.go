package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, which is the same for all of Linux's
// architectures that Go runs on (USER_HZ).
const tick = time.Second / 100

var errStat = errors.New("malformed /proc/PID/stat")

// A Usage is what processes have used so far, as the kernel counts it.
type Usage struct {
	CPU time.Duration // user and system, in steps of 10 ms
	RSS int64         // bytes resident; pages that several share count for each
}

// A stat is what is needed of /proc/PID/stat (proc_pid_stat(5)).
type stat struct {
	pid, parent int
	cpu         time.Duration
	pages       int64
}

// usageOf returns what pid and its children use. It needs Linux's /proc.
func usageOf(pid int) (Usage, error) {
	own, err := readStat(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Usage{}, err
	}
	all := []stat{own}
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return Usage{}, err
	}
	for _, path := range paths {
		if s, err := readStat(path); err == nil && s.parent == pid { // others come and go
			all = append(all, s)
		}
	}
	return sum(all), nil
}

func sum(all []stat) (u Usage) {
	for _, s := range all {
		u.CPU += s.cpu
		u.RSS += s.pages * int64(os.Getpagesize())
	}
	return u
}

func readStat(path string) (stat, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(b))
}

// parseStat parses the one line of /proc/PID/stat. The name of the program,
// its second field, stands in brackets and may hold anything, brackets too.
func parseStat(line string) (stat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, errStat
	}
	fields := strings.Fields(line[end+1:]) // from the third one on
	const parent, user, system, pages = 4 - 3, 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= pages {
		return stat{}, errStat
	}
	var numbers []int64
	for _, field := range []string{strings.TrimSpace(line[:open]), fields[parent], fields[user], fields[system], fields[pages]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("%w: %w", errStat, err)
		}
		numbers = append(numbers, n)
	}
	return stat{
		pid:    int(numbers[0]),
		parent: int(numbers[1]),
		cpu:    time.Duration(numbers[2]+numbers[3]) * tick,
		pages:  numbers[4],
	}, nil
}
