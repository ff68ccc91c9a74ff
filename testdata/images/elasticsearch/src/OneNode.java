import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** A node with what lies in its modules folder. Each argument is setting=value. */
public final class OneNode {
  public static void main(String[] args) throws Exception {
    Path home = Path.of(System.getProperty("es.path.home"));
    Settings.Builder settings = Settings.builder().loadFromPath(home.resolve("config/elasticsearch.yml")).put("path.home", home.toString());
    for (String arg : args) settings.put(arg.split("=", 2)[0], arg.split("=", 2)[1]);
    Environment environment = new Environment(settings.build(), home.resolve("config"));
    LogConfigurator.configureESLogging();
    LogConfigurator.setNodeName(settings.get("node.name"));
    LogConfigurator.configure(environment, true);
    var modules = PluginsLoader.loadModulesBundles(environment.modulesDir(), false);
    var plugins = PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false);
    Node node = new Node(environment, PluginsLoader.createPluginsLoader(modules, plugins, Map.of(), false));
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        node.close();
      } catch (Exception e) {
        e.printStackTrace();
      }
    }));
    node.start();
    new CountDownLatch(1).await();
  }
}
