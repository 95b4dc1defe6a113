//! `apache2_module`: a module of Apache, on Debian and Ubuntu.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Enables or disables a module.
pub(super) static APACHE2_MODULE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "apache2_module",
        &["community.general", "ansible.builtin"],
        "Enables or disables a module of Apache, with a2enmod and a2dismod.",
        &[
            Parameter::new("name", Kind::Text, "The module: rewrite."),
            Parameter::new("identifier", Kind::Text, "Its name in the list of apache2ctl (default: NAME_module)."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is on (default: present)."),
            Parameter::new("force", Kind::Flag, "Whether a module that is on by default may be disabled."),
            Parameter::new("ignore_configcheck", Kind::Flag, "Whether the configuration of Apache may be wrong."),
            Parameter::new("warn_mpm_absent", Kind::Flag, "No effect."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("apache2_module.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let is_word = |text: &str| text.chars().all(|sign| sign.is_ascii_alphanumeric() || "_.+-".contains(sign));
    if !is_word(&name) || name.starts_with('-') {
        return Err(format!("`{name}` cannot be a module of Apache"));
    }
    let identifier = arguments.non_empty("identifier")?.unwrap_or_else(|| identifier(&name));
    if !is_word(&identifier) {
        return Err(format!("`{identifier}` cannot be a module of Apache"));
    }
    Ok(run.set("identifier", &identifier))
}

/// Returns the name of a module in the list of apache2ctl.
fn identifier(name: &str) -> String {
    match name {
        "shib" | "shib2" => "mod_shib".to_owned(),
        "evasive" => "evasive20_module".to_owned(),
        // Since version 8 the module of PHP has no number.
        _ => match name.strip_prefix("php").and_then(|version| version.chars().next()) {
            Some(digit @ '5'..='7') => format!("php{digit}_module"),
            Some('8'..='9') => "php_module".to_owned(),
            _ => format!("{name}_module"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn the_version_of_php_is_no_part_of_the_identifier() {
        assert_eq!(identifier("rewrite"), "rewrite_module");
        assert_eq!([identifier("php7.4"), identifier("php8.2")], ["php7_module", "php_module"]);
    }
}
