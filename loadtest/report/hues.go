package report

// A hueOf gives every target of a report its hue.
type hueOf map[string]int

// hues numbers the targets in the order in which they appear.
func (r Report) hues() hueOf {
	hues := make(hueOf)
	add := func(target string) {
		if _, known := hues[target]; !known {
			hues[target] = len(hues)
		}
	}
	if r.Compare != nil {
		for _, target := range r.Compare.Targets {
			add(target)
		}
	}
	for _, result := range r.Results {
		add(result.Target)
	}
	return hues
}
