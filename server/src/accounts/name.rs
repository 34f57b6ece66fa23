//! Rules for users' names.

/// The longest name, in bytes.
const MAX_NAME: usize = 32;

/// Checks that a name is a valid user name.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with(['.', '-']) || !name.chars().all(allowed)
    {
        return Err(format!(
            "\"{name}\" is not a user name: use 1 to {MAX_NAME} of a-z, 0-9, \".\", \"_\" and \"-\", and do not begin with \".\" or \"-\""
        ));
    }
    Ok(())
}
