package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// A table is exact numbers for people.
type table struct {
	Title string
	Names int // columns at the left that are names; the others are numbers
	Head  []string
	Rows  [][]string
	Notes []string // sentences below it
}

// none stands where there is no number.
const none = "–"

// WriteTable writes a report for a terminal. With five targets it stays within 120 columns.
func WriteTable(w io.Writer, r Report) error {
	var blocks []string
	for _, t := range r.tables() {
		blocks = append(blocks, t.text())
	}
	if _, err := io.WriteString(w, strings.Join(blocks, "\n")); err != nil {
		return fmt.Errorf("write tables: %w", err)
	}
	return nil
}

// tables returns all tables. What is most to the point comes last, where a terminal stops.
func (r Report) tables() []table {
	return slices.Concat(resultTables(r.Results), compareTables(r.Compare), servingTables(r.Serving))
}

// text writes a table with its names at the left and its numbers right-aligned.
func (t table) text() string {
	var lines strings.Builder
	aligned := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	rows := append([][]string{t.Head}, t.Rows...)
	for i, row := range rows {
		for column, cell := range row {
			if column < t.Names {
				cell = pad(t.name(rows, i, column), widest(rows, column))
			}
			fmt.Fprint(aligned, cell, "\t")
		}
		fmt.Fprintln(aligned)
	}
	aligned.Flush()
	text := t.Title + "\n"
	for line := range strings.Lines(lines.String()) {
		text += strings.TrimRight(line, " \n") + "\n"
	}
	for _, note := range t.Notes {
		text += "  " + note + "\n"
	}
	return text
}

// name returns a name of a row, or nothing where the row above has the same one and more names follow.
func (t table) name(rows [][]string, row, column int) string {
	if row > 0 && column+1 < t.Names && rows[row][column] == rows[row-1][column] {
		return ""
	}
	return rows[row][column]
}

func pad(s string, width int) string { return s + strings.Repeat(" ", width-utf8.RuneCountInString(s)) }

func widest(rows [][]string, column int) (width int) {
	for _, row := range rows {
		width = max(width, utf8.RuneCountInString(row[column]))
	}
	return width
}

// withoutEmpty drops the columns of numbers that no row has.
func (t table) withoutEmpty() table {
	for column := len(t.Head) - 1; column >= t.Names; column-- {
		empty := !slices.ContainsFunc(t.Rows, func(row []string) bool { return row[column] != none && row[column] != "" })
		if empty {
			t.Head = slices.Delete(slices.Clone(t.Head), column, column+1)
			for i, row := range t.Rows {
				t.Rows[i] = slices.Delete(row, column, column+1)
			}
		}
	}
	return t
}

// short cuts a name or an error to so many letters.
func short(s string, letters int) string {
	if utf8.RuneCountInString(s) <= letters {
		return s
	}
	return string([]rune(s)[:letters-1]) + "…"
}

// plural writes a number of things.
func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
