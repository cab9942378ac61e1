//! A short name for a device, made of what its browser says about itself.

/// Longest name made of an unknown program's own words.
const LONGEST: usize = 40;

/// The marks of browsers, in the order in which they have to be looked for: each also claims to
/// be those after it.
const PROGRAMS: [(&str, &str); 8] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];

/// The marks of systems, in the order in which they have to be looked for.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// `Firefox on Linux`, `curl 7.88.1`, `unknown device`: short, whatever a client sends.
pub(super) fn name(user_agent: Option<&str>) -> String {
    let agent = user_agent.unwrap_or_default();
    let find = |marks: &[(&str, &'static str)]| {
        marks.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, _) => first_product(agent),
    }
}

/// The first product in the header, `name/version` as `name version`.
fn first_product(agent: &str) -> String {
    let product = agent.split_whitespace().next().unwrap_or_default();
    let readable = product.chars().filter(char::is_ascii_graphic).take(LONGEST);
    let name = readable.collect::<String>().replace('/', " ");
    if name.is_empty() { "unknown device".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_short_names() {
        let chrome = "(KHTML, like Gecko) Chrome/131.0.0.0";
        for (agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox on Linux"),
            (
                &format!(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {chrome} Safari/537.36"
                ),
                "Chrome on Windows",
            ),
            (
                &format!("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 {chrome} Safari/537.36 Edg/131.0"),
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/131.0.0.0 Safari/537.36", "Chrome on Linux"),
            ("curl/7.88.1", "curl 7.88.1"),
            ("<script>alert(1)</script>\u{202e} x", "<script>alert(1)< script>"),
            ("", "unknown device"),
            ("\u{7}\u{e9}", "unknown device"),
        ] {
            assert_eq!(name(Some(agent)), expected);
        }
        assert_eq!(name(None), "unknown device");
        assert!(name(Some(&"x".repeat(100_000))).len() <= LONGEST);
    }
}
