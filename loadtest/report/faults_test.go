package report

// findFaults is JavaScript that lists what is wrong with the layout of a page: what is wider than the screen or
// than what it is in, pictures without a size, and texts of a picture that leave it or cover each other.
const findFaults = `(() => {
	const faults = [];
	if (document.documentElement.scrollWidth > innerWidth)
		faults.push("the page is " + document.documentElement.scrollWidth + " wide, the screen " + innerWidth);
	for (const e of document.querySelectorAll("body *"))
		if (!e.closest("svg") && e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
			faults.push("overflows: " + e.tagName + " " + e.className + " " + e.textContent.trim().slice(0, 60));
	const shown = [...document.querySelectorAll("svg")].filter(svg => getComputedStyle(svg).display !== "none");
	if (shown.length === 0 && document.querySelector("svg")) faults.push("no picture is shown");
	for (const svg of shown) {
		const name = svg.querySelector("title").textContent;
		const box = svg.getBoundingClientRect();
		if (box.width < 50 || box.height < 50) faults.push(name + ": the picture is " + box.width + " by " + box.height);
		const texts = [...svg.querySelectorAll("text")].map(e => [e.textContent, e.getBoundingClientRect()]);
		const small = [...svg.querySelectorAll("text")].map(e => parseFloat(getComputedStyle(e).fontSize) * box.width / svg.viewBox.baseVal.width);
		if (Math.min(...small) < 9.5) faults.push(name + ": text is " + Math.min(...small) + " pixels high");
		texts.forEach(([text, a], i) => {
			if (a.left < box.left - 1 || a.right > box.right + 1 || a.top < box.top - 1 || a.bottom > box.bottom + 1)
				faults.push(name + ": " + text + " leaves the picture");
			for (const [other, b] of texts.slice(i + 1))
				if (a.right > b.left + 0.5 && b.right > a.left + 0.5 && a.bottom > b.top + 0.5 && b.bottom > a.top + 0.5)
					faults.push(name + ": " + text + " covers " + other);
		});
	}
	return faults;
})()`
