//! Tables in Markdown on standard output.

/// Prints a heading and a table under it.
pub fn print(title: &str, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    println!("### {title}\n");
    println!("| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
    println!();
}
